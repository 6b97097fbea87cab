"""`tidegate quarantine`: lines that could not become events, why, and how they come back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import (
    DumpsOpt,
    EngineOpt,
    FirstOpt,
    JsonOpt,
    LakeOpt,
    LastOpt,
    SourceArg,
    asked_bounds,
    teller,
)
from tidegate.common.errors import TidegateError
from tidegate.common.hours import hour_text
from tidegate.common.suggestions import hint
from tidegate.config.settings import load_settings
from tidegate.landing.reasons import REASONS
from tidegate.privacy.erased import REASON as ERASED

if TYPE_CHECKING:
    from tidegate.pipeline.replay import Replayed, Trial
    from tidegate.query.quarantine import Quarantined

_SCREEN = 24
"""Hours of a reason that are printed; all are counted."""

quarantine = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@quarantine.callback()
def listing(
    context: typer.Context,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Only this source's.")
    ] = None,
    first: FirstOpt = None,
    last: LastOpt = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="REASON", help="Only this reason.")
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", min=0, help="Lines to show of each source and reason.")
    ] = 3,
    lake: LakeOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """List which lines could not become events, why, and in which hours; `replay` lands them again.

    Lines are cut; whole ones: tidegate sql "SELECT raw FROM ops.quarantine".
    """
    from tidegate.query.connect import connect
    from tidegate.query.quarantine import landed_sources, quarantined

    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    begin, end = asked_bounds(first, last)
    if reason is not None and reason not in REASONS:
        raise TidegateError(
            f"{reason!r} is no reason to quarantine a line",
            expected=f"one of {', '.join(REASONS)}",
            got=f"{reason!r}; {hint(reason, REASONS)}",
        )
    with connect(load_settings(lake=lake)) as connection:
        known = landed_sources(connection)
        if source is not None and source not in known:
            raise TidegateError(
                f"no source named {source!r} was ever landed",
                expected=f"one of {', '.join(known)}" if known else "a source that was",
                got=f"{source!r}; {hint(source, known)}",
            )
        found = quarantined(
            connection,
            source=source,
            reason=reason,
            first=hour_text(begin) if begin else None,
            last=hour_text(end) if end else None,
            samples=lines,
        )
    if as_json:
        typer.echo(json.dumps([each.as_json() for each in found], indent=2))
    elif not found:
        typer.echo("no line is in quarantine" + _asked(source, reason, first, last))
    else:
        by_hour = source is not None or begin is not None or end is not None
        for text in _described(found, by_hour):
            typer.echo(text)


@quarantine.command()
def replay(
    source: SourceArg,
    first: FirstOpt = None,
    last: LastOpt = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report which lines would fit; change nothing.")
    ] = False,
    dumps: DumpsOpt = None,
    lake: LakeOpt = None,
    engine: EngineOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Land quarantined lines again as events, after the source file was fixed.

    They are tried by the file as it is now, then landed from their dumps in their own hours. A changed file
    takes effect for all hours at once: then events are rebuilt, as by `tidegate rebuild events`.
    """
    from tidegate.config.source import find_source
    from tidegate.pipeline.context.run_context import working
    from tidegate.pipeline.replay import replay as bring_back
    from tidegate.pipeline.replay import try_lines
    from tidegate.query.connect import connect

    begin, end = asked_bounds(first, last)
    settings = load_settings(lake=lake, dumps=dumps, engine=engine)
    chosen = find_source(source, settings.sources)
    connect(settings).close()  # a lake that is not there is a mistake, and none is to be made
    with working(settings, tell=teller()) as work:
        trial = try_lines(work, chosen, begin, end)
        if not as_json:
            for text in _tried(trial):
                typer.echo(text)
        nothing = not trial.outcomes and not trial.again
        done = None if dry_run or nothing else bring_back(work, trial)
    if as_json:
        told = {"trial": trial.as_json(), "replayed": done and done.as_json()}
        typer.echo(json.dumps(told, indent=2))
    elif done is not None:
        for text in _replayed(done, chosen.source):
            typer.echo(text)
    if done is not None:
        for audit in done.held:
            typer.echo(audit.describe(), err=True)
        for landing in done.landed:
            if landing.outcome in ("unreadable", "missing"):
                typer.echo(landing.describe(), err=True)
        for text in done.derived.outdated:
            typer.echo(text, err=True)
        if done.exit_status:
            raise typer.Exit(done.exit_status)


def _refuse_options_before(context: typer.Context) -> None:
    """Raise where options stand before the command's name: they would be ignored."""
    given = [
        name
        for name in context.params
        if (where := context.get_parameter_source(name)) is not None and where.name == "COMMANDLINE"
    ]
    if given:
        raise typer.BadParameter(f"put options after the word {context.invoked_subcommand}")


def _asked(source: str | None, reason: str | None, first: str | None, last: str | None) -> str:
    """Return what was asked for, as an end of a sentence."""
    parts = (("of", source), ("for", reason), ("from", first), ("to", last))
    return "".join(f" {word} {value}" for word, value in parts if value is not None)


def _described(found: Sequence[Quarantined], by_hour: bool) -> Iterator[str]:
    from tidegate.query.quarantine import todo

    for at, each in enumerate(found):
        hours = list(each.hours)
        within = hours[0] if len(hours) == 1 else f"{len(hours):,} hours, {hours[0]}..{hours[-1]}"
        yield f"{each.source} {each.reason}: {each.lines:,} lines, {each.share:.2%} of {within}"
        yield f"  {REASONS.get(each.reason, each.reason)}"
        for hour in hours[:_SCREEN] if by_hour else ():
            yield f"  {hour}  {each.hours[hour]:,} of {each.read[hour]:,}"
        if by_hour and len(hours) > _SCREEN:
            yield f"  … and {len(hours) - _SCREEN:,} hours more"
        for sample in () if each.reason == ERASED else each.samples:
            yield f"  {sample.file}:{sample.line}  {sample.detail}"
            if sample.raw:  # of personal data it is not kept
                yield f"    {sample.raw}"
        is_last = at + 1 == len(found) or found[at + 1].source != each.source
        mine = {other.reason for other in found if other.source == each.source}
        if is_last and mine != {ERASED}:  # which nobody is to bring back
            yield f"  next  {todo(each.source)}"


def _tried(trial: Trial) -> Iterator[str]:
    """Yield what a trial found, and what a replay would do."""
    from tidegate.common.hours import hours_text

    name = trial.source.source
    if not trial.lines:
        yield f"no line of {name} is in quarantine"
    else:
        fits = trial.count("fits")
        yield f"{fits:,} of {trial.lines:,} quarantined lines of {name} fit {trial.source.path.name} now"
        reasons = sorted({each.reason for each in trial.outcomes})
        for reason in reasons:
            mine = [each for each in trial.outcomes if each.reason == reason]
            fit = sum(each.lines for each in mine if each.becomes == "fits")
            hours = hours_text(each.hour for each in mine)
            yield f"  {reason}: {fit:,} of {sum(each.lines for each in mine):,}, {hours}"
        for text in trial.stays():
            yield f"  stay: {text}"
        untried = trial.count("untried")
        if untried:
            yield f"  {untried:,} can't be tried without their files: the landing will tell"
    if trial.is_idle:
        return
    if trial.rebuilds:
        yield f"{trial.source.path.name} has changed since events were built: all hours are landed again"
    else:
        yield f"to be landed again: {hours_text(trial.again)}"


def _replayed(done: Replayed, name: str) -> Iterator[str]:
    """Yield what a replay came to."""
    made = done.publication
    rows = f"{made.rows:,} rows in {len(made.slices)} slices" if made else "left as it was"
    yield f"events of {name}: {rows}"
    for each in done.derived.publications:
        yield f"{each.table_name} of {each.source} followed"
    left = ", ".join(f"{n:,} {reason}" for reason, n in sorted(done.left.items()))
    yield f"in quarantine of these hours now: {left or 'none'}"
    yield f"release {done.release.release_id}" + ("" if done.release.is_new else " (nothing new)")
