"""`tidegate trace`: from a row to its publication, audits, run, landing and files, without a JVM."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import JsonOpt, LakeOpt, aligned
from tidegate.common.hours import hour_text
from tidegate.common.text_output import clipped, text, visible
from tidegate.config.settings import load_settings

if TYPE_CHECKING:
    from datetime import datetime

    from tidegate.query.lineage import DumpHour, Trace

_HOURS = 6
_FILES = 4
_AUDITS = 6
_INPUTS = 5
_ROWS = 8
_WIDTH = 100
_HIDDEN = frozenset({"users_sketch"})


def trace(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A published table.")],
    key: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY...",
            help="sessions: SESSION_ID; events: [SOURCE] EVENT_ID; hourly_activity: SOURCE HOUR "
            "[EVENT_TYPE]; daily_activity: SOURCE DATE.",
        ),
    ],
    release: Annotated[
        str | None, typer.Option(help="Id of a release; the latest by default.", metavar="ID")
    ] = None,
    lake: LakeOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Follow a row to its slice, publication, audits, run, landings and files."""
    from tidegate.query.connect import connect
    from tidegate.query.lineage import KeyUsageError
    from tidegate.query.lineage import trace as follow

    with connect(load_settings(lake=lake), release) as connection:
        try:
            found = follow(connection, table, key)
        except KeyUsageError as error:
            raise typer.BadParameter(str(error)) from error
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
        return
    for line in lines(found):
        typer.echo(line)


def lines(found: Trace) -> Iterator[str]:
    """Yield a trace for people; long lists are cut and say so."""
    at = (
        f"release {found.release}"
        if found.release
        else "no release yet: the tables as they are now"
    )
    version = f", version {found.version}" if found.version is not None else ""
    yield f"{found.table.name}{version} ({at})"
    yield from _row(found.rows)
    yield f"slice        {visible(found.source)} {hour_text(found.slice)}"
    for note in found.notes:
        yield f"note         {visible(note)}"
    if found.publication is not None:
        yield from _publication(found.publication)
        yield from _audits(found.audits)
    if found.inputs:
        yield from _inputs(found.inputs)
    yield from _dumps(found.dumps)


def _row(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(rows) > 1:
        yield f"rows         {len(rows)}"
        names = [name for name in rows[0] if name not in ("source", "date", "hour")]
        shown = [{name: _value(row[name]) for name in names} for row in rows[:_ROWS]]
        yield from (f"  {line}" for line in aligned(shown))
        yield from _more(rows, _ROWS)
        return
    names = [name for name in rows[0] if name not in _HIDDEN and rows[0][name] is not None]
    width = max(map(len, names))
    for name in names:
        yield f"  {name:<{width}}  {_value(rows[0][name])}"


def _publication(made: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"publication  {made['publication_id']}, {_time(made['published_at'])}, version "
        f"{made['delta_version']} of the table, number {made['sequence']} of the source"
    )
    yield f"  run        {visible(made['run_id'] or '')}"
    withheld = (
        f", {made['withheld']:,} withheld as duplicates of other dumps" if made["withheld"] else ""
    )
    yield f"  rows       {made['rows']:,} in the slice{withheld}; {made['rows_in_all']:,} in all"
    yield (
        f"  made by    configuration {made['configuration']}, code {made['code_version']}, suite "
        f"{made['suite']}"
    )


def _audits(audits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    told = Counter(each["status"] for each in audits)
    summary = ", ".join(f"{count} {status}" for status, count in told.items())
    yield f"audits       {len(audits)} expectations{': ' + summary if summary else ''}"
    notable = [each for each in audits if each["status"] != "met"]
    for each in notable[:_AUDITS]:
        yield (
            f"  {each['status']:<10} {each['severity']:<8}  {visible(each['expectation'])}: "
            f"{_clip(each['observed'])}"
        )
        if each["status"] in ("failed", "approved"):
            yield f"  {'':<10} {'':<8}  expected {_clip(each['expected'])} ({_clip(each['why'])})"
        if each["approved_by"]:
            yield f"  {'':<10} {'':<8}  approved by {_clip(each['approved_by'])}"
    yield from _more(notable, _AUDITS)


def _inputs(inputs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield f"built from   {_count(len(inputs), 'publication')}"
    for each in inputs[:_INPUTS]:
        first, last = each["slice_min"], each["slice_max"]
        span = "" if first is None else f", {hour_text(first)}"
        span += f"..{hour_text(last)}" if last is not None and last != first else ""
        yield (
            f"  {each['table_name']} {each['publication_id']}, {_time(each['published_at'])}, version "
            f"{each['delta_version']}, {each['rows']:,} rows{span}"
        )
    yield from _more(inputs, _INPUTS)


def _dumps(dumps: Sequence[DumpHour]) -> Iterator[str]:
    if not dumps:
        return
    yield f"dumps        {_count(len(dumps), 'hour')}"
    for each in dumps[:_HOURS]:
        count = sum(each.events.values())
        told = f": {_count(count, 'event')} of the row" if count else ""
        yield f"  {hour_text(each.hour)}{told}"
        made, landing = each.publication, each.landing
        if made is None or landing is None:
            yield "    not in the books"
            continue
        yield (
            f"    published  {made['publication_id']}, {_time(made['published_at'])}, run "
            f"{visible(made['run_id'] or '')}"
        )
        bad = dict(landing["quarantined_by_reason"] or {})
        reasons = f" ({', '.join(f'{n:,} {why}' for why, n in bad.items())})" if bad else ""
        yield (
            f"    landed     {landing['landing_id']}, {_time(landing['landed_at'])}, run "
            f"{visible(landing['run_id'] or '')}"
        )
        yield (
            f"    lines      {landing['lines']:,} = {landing['events']:,} events + "
            f"{landing['duplicates']:,} duplicates + {landing['quarantined']:,} quarantined{reasons}"
        )
        yield from _files(each, landing["files"] or [])
    yield from _more(dumps, _HOURS)


def _files(dump: DumpHour, files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the files of a landing, those that the row's events came in first."""
    ordered = sorted(files, key=lambda file: (file["name"] not in dump.events, file["name"]))
    for file in ordered[:_FILES]:
        count = dump.events.get(file["name"])
        told = f", {_count(count, 'event')} of the row" if count else ""
        yield f"    file       {_clip(file['uri'] or file['name'], 160)}"
        yield (
            f"               {file['size']:,} bytes, {file['lines']:,} lines, etag "
            f"{visible(file['etag'] or '')}{told}"
        )
    yield from (f"  {line}" for line in _more(ordered, _FILES))


def _more(every: Sequence[object], shown: int) -> Iterator[str]:
    if len(every) > shown:
        yield f"  and {len(every) - shown} more: --json has all"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _value(value: object) -> str:
    return "NULL" if value is None else _clip(text(value))


def _clip(value: str | None, width: int = _WIDTH) -> str:
    return clipped(value or "", width)


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"
