"""What every package may use: errors, hours, durations, texts. It knows nothing of the rest."""
