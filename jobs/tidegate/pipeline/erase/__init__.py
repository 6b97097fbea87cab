"""Erasure: a person's lines become no events any more, and what there was of them is gone, history included."""

from tidegate.pipeline.erase.model import Erasure, Found, Person
from tidegate.pipeline.erase.run import erase, look

__all__ = ["Erasure", "Found", "Person", "erase", "look"]
