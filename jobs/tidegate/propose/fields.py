"""Which path is the time, the id, the type and the user of an event. Pure.

Names propose and shapes dispose: a path is taken by its name only if what is there can be it, and an id
also by its shape alone.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.propose.event_time import TimePick, pick_time
from tidegate.propose.exports import Export
from tidegate.propose.shape import Path, Shape, folded, path_rank
from tidegate.propose.words import words

_ID = words(
    """eventid eventuuid messageid insertid uuid guid id _id recordid msgid logid eventkey
    messageuuid hitid requestid"""
)
_ENVELOPES = frozenset(words("event meta metadata header message record envelope payload data"))
_TYPE = words(
    "eventtype eventname type event kind action eventaction eventkind activity method csmethod name verb"
)
_USER = words(
    """userid uid useruid customerid accountid memberid subscriberid playerid profileid actorid
    authorid identityid user username login userlogin actorlogin customer member email useremail csusername"""
)
_ANONYMOUS = words(
    """anonymousid anonid visitorid deviceid domainuserid userpseudoid clientid cookieid browserid
    networkuserid installationid installid distinctid deviceuuid fingerprint gaid idfa device visitor
    cookie"""
)
_ADDRESS = words(
    """host remotehost clientip remoteaddr remoteip ip ipaddress sourceip sourceipaddress
    useripaddress cip"""
)
_PRODUCER = words(
    """producer producerid host hostname server serverid instance instanceid node partition shard
    shardid deviceid agent pod source boot"""
)
_SEQUENCE = words(
    "seq sequence sequencenumber seqno seqnum seqid counter eventnumber offset eventseq"
)
_SESSION = words("sessionid sessionuuid domainsessionid visitid sessionkey gasessionid")
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_FEW = 20
"""Lines below which how often values repeat says nothing."""


@dataclass(frozen=True)
class Pick:
    """A path that is to be a field, and why."""

    path: Path
    why: str


@dataclass(frozen=True)
class Picked:
    """The fields, each where one was found; who numbers its events, and ids of sessions, if any."""

    event_time: TimePick | None
    event_id: Pick | None
    event_type: Pick | None
    user_id: Pick | None
    anonymous_id: Pick | None
    sequence: tuple[Path, Path, str] | None
    session_id: Path | None
    notes: tuple[str, ...]
    undecided: tuple[tuple[str, str], ...]

    def paths(self) -> frozenset[Path]:
        """Return the paths that are fields."""
        picks = (self.event_id, self.event_type, self.user_id, self.anonymous_id)
        times = self.event_time.paths if self.event_time is not None else ()
        return frozenset([*(pick.path for pick in picks if pick is not None), *times])


def pick_fields(
    found: Mapping[Path, Shape],
    identities: Sequence[int],
    hours: Sequence[datetime | None],
    export: Export | None = None,
) -> Picked:
    """Return what of records is which field of an event.

    Args:
        found: the shapes of paths that may be used.
        identities: of each record: equal for records that are equal.
        hours: the dump hour of each record, where it is known.
        export: what they are an export of, if that is known.
    """
    usable = [shape for shape in found.values() if shape.is_scalar]
    every = len(identities)
    notes: list[str] = []
    undecided: list[tuple[str, str]] = []
    when = pick_time(found, hours, export, undecided)
    rest = [shape for shape in usable if when is None or shape.path not in when.paths]
    known = {name: _known(name, export, found, every) for name in _KNOWN}
    event_id = None
    if known["event_id"] is not None:
        event_id = _event_id([found[known["event_id"].path]], identities, notes, is_known=True)
    event_id = event_id or _event_id(rest, identities, notes)
    rest = [shape for shape in rest if event_id is None or shape.path != event_id.path]
    kind = known["event_type"] or _event_type(rest, every)
    rest = [shape for shape in rest if kind is None or shape.path != kind.path]
    if known["user_id"] or known["anonymous_id"]:
        user, anonymous = known["user_id"], known["anonymous_id"]
    else:
        user = _who(rest, _USER, every)
        rest = [shape for shape in rest if user is None or shape.path != user.path]
        anonymous = _who(rest, _ANONYMOUS, every)
    if user is None and anonymous is None:
        anonymous = _who(rest, _ADDRESS, every)
        undecided.append(
            (
                "which field is a user"
                if anonymous is None
                else f"which field is a user: {'.'.join(anonymous.path)} stands for one",
                "name it as user_id or anonymous_id; events without one are in no session",
            )
        )
    if event_id is None:
        undecided.append(
            (
                "which field is the id of an event: ids are made of file name and line",
                "name it as event_id if there is one, so that events that are sent twice count once",
            )
        )
    session = export.path("session_id") if export is not None else None
    return Picked(
        when,
        event_id,
        kind,
        user,
        anonymous,
        _sequence(usable),
        session if session in found else _session(usable),
        tuple(notes),
        tuple(undecided),
    )


_KNOWN = ("event_id", "event_type", "user_id", "anonymous_id")


def _known(
    name: str, export: Export | None, found: Mapping[Path, Shape], every: int
) -> Pick | None:
    """Return the path that an export's document has for a field, if records may have it."""
    path = export.path(name) if export is not None else None
    if export is None or path is None:
        return None
    shape = found.get(path)
    is_odd = shape is not None and (shape.kinds["object"] or shape.kinds["list"])
    within = (found.get(path[:cut]) for cut in range(1, len(path)))
    if is_odd or any(above is not None and above.values for above in within):
        return None
    if shape is None and name in ("event_id", "event_type"):
        return None
    count = shape.count if shape is not None else 0
    return Pick(path, f"as in {export.name}, in {count:,} of {every:,} lines")


def _event_id(
    usable: Iterable[Shape], identities: Sequence[int], notes: list[str], *, is_known: bool = False
) -> Pick | None:
    best: tuple[float, Pick] | None = None
    every = len(identities)
    for shape in usable:
        values = [text.strip() for text in shape.texts]
        present = sum(map(bool, values))
        outer = [folded(name) for name in shape.path[:-1]]
        if shape.kinds["float"] or shape.kinds["bool"]:
            continue
        if not is_known and not set(outer) <= _ENVELOPES:
            continue
        name = folded(shape.path[-1])
        if is_known:
            rank = 0.0
        elif name in _ID:
            rank = float(_ID.index(name)) + len(outer) / 2
        elif not outer and values and all(map(_UUID.fullmatch, values)):
            rank = 50.0
        else:
            continue
        # Lines that are equal are one event that came twice, and say nothing against its id.
        lines = {(identities[row], text) for row, text in zip(shape.rows, values, strict=True)}
        unlike = len({text for _, text in lines}) / len(lines)
        if present < 0.99 * every or unlike < 0.9:
            dotted = ".".join(shape.path)
            if rank < 10:
                what = (
                    "is missing in many lines" if unlike >= 0.9 else "repeats in lines that differ"
                )
                notes.append(f"{dotted} is no event_id: it {what}")
            continue
        repeated = every - shape.distinct
        why = f"in {present:,} of {every:,} lines"
        why += f", {repeated:,} of them repeat one" if repeated and present == every else ""
        if present < every:
            why += f"; {every - present:,} without one would be quarantined"
        if best is None or rank < best[0]:
            best = rank, Pick(shape.path, why)
    return best[1] if best else None


def _event_type(usable: Iterable[Shape], every: int) -> Pick | None:
    best: tuple[float, Pick] | None = None
    for shape in usable:
        rank = path_rank(shape.path, _TYPE)
        if rank is None or set(shape.kinds) - {"text", "int"}:
            continue
        if every >= _FEW and shape.distinct > max(50, every // 20):
            continue
        score = rank + 10 * (1 - shape.count / every)
        seen = [name for name, _ in Counter(shape.texts).most_common(3)]
        more = f" and {shape.distinct - 3} more" if shape.distinct > 3 else ""
        why = f"in {shape.count:,} of {every:,} lines: {', '.join(seen)}{more}"
        if best is None or score < best[0]:
            best = score, Pick(shape.path, why)
    return best[1] if best else None


def _who(usable: Iterable[Shape], names: Sequence[str], every: int) -> Pick | None:
    best: tuple[float, Pick] | None = None
    for shape in usable:
        rank = path_rank(shape.path, names)
        if rank is None or shape.kinds["bool"] or shape.kinds["float"]:
            continue
        # A user who comes once only, or is everybody, is none.
        if shape.count >= _FEW and shape.distinct in (1, shape.count):
            continue
        empty = sum(not text.strip() or text.strip() == "-" for text in shape.texts)
        if empty * 2 > shape.count:
            continue
        why = f"in {shape.count - empty:,} of {every:,} lines, {shape.distinct:,} different"
        if best is None or rank < best[0]:
            best = rank, Pick(shape.path, why)
    return best[1] if best else None


def _session(usable: Sequence[Shape]) -> Path | None:
    """Return the path of the source's own session ids, if it has any."""
    found = [shape for shape in usable if folded(shape.path[-1]) in _SESSION and shape.distinct > 1]
    return max(found, key=lambda shape: shape.count).path if found else None


def _sequence(usable: Sequence[Shape]) -> tuple[Path, Path, str] | None:
    """Return the paths of a producer and of the numbers it gives its events, if that is evident."""
    numbers = [
        shape
        for shape in usable
        if folded(shape.path[-1]) in _SEQUENCE and all(text.isdigit() for text in shape.texts)
    ]
    producers = [shape for shape in usable if folded(shape.path[-1]) in _PRODUCER]
    for number in numbers:
        values = dict(zip(number.rows, map(int, number.texts), strict=True))
        for producer in producers:
            by: dict[str, list[int]] = defaultdict(list)
            for row, name in zip(producer.rows, producer.texts, strict=True):
                if row in values:
                    by[name].append(values[row])
            several = [each for each in by.values() if len(set(each)) >= 5]
            dense = sum(max(each) - min(each) + 1 <= 1.1 * len(set(each)) for each in several)
            if several and dense >= 0.9 * len(several):
                why = f"{len(by):,} producers number their events without gaps"
                return producer.path, number.path, why
    return None
