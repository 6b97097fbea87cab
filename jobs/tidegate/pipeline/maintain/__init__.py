"""Maintenance: fewer and larger files, and none that nothing needs. Published rows stay as they are.

What a promised release pins can be read as before, and so can what a query or a step of the last two days
has begun with. Every part can be killed, run again, or run beside publications, to which it leaves the way.
"""

from tidegate.pipeline.maintain.model import PARTS, Freed, Maintained
from tidegate.pipeline.maintain.run import check_parts, maintain

__all__ = ["PARTS", "Freed", "Maintained", "check_parts", "maintain"]
