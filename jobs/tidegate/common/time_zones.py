"""Time zones by the data of the package `tzdata`: the version is pinned, so that no machine has rules of its own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from tidegate.common.suggestions import nearest


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all zones, such as `Europe/Berlin`."""
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split())


@cache
def load_zone(name: str) -> ZoneInfo:
    """Return a zone.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in zone_names():
        near = nearest(name, sorted(zone_names()))
        meant = f"; did you mean '{near}'?" if near is not None else ""
        raise ValueError(f"expected a time zone such as Europe/Berlin, got {name!r}{meant}")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
