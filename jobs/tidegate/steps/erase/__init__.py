"""Erasure: a person's lines become no events any more, and what there was of them is gone, history included."""

from tidegate.steps.erase.model import Erasure, Found, Person
from tidegate.steps.erase.run import erase, look

__all__ = ["Erasure", "Found", "Person", "erase", "look"]
