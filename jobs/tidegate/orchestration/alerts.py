"""Alerts: people are told when a slice is held and when it heals, when hours are late and when they have come.

Airflow's own notifiers tell them. `dags/alerts.yml` names these; where there is no such file nobody is told.
`ops/alerts` keeps who was told of what, so that a slice that is tried again, and held again, is not told of
again, nor are hours that go on being late.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from tidegate.common.errors import FaultsError, TidegateError
from tidegate.common.suggestions import hint
from tidegate.common.yaml_strict import load_yaml
from tidegate.lake import literal, parse_time
from tidegate.tables.system_tables import ALERTS

if TYPE_CHECKING:
    from tidegate.config.settings import Settings
    from tidegate.lake import Lake
    from tidegate.pipeline.context.run_context import Work
    from tidegate.pipeline.publish.approve import HeldSlice

Kind = Literal["held", "healed", "late", "caught_up"]
_PAIRS: Sequence[tuple[Kind, Kind]] = (("held", "healed"), ("late", "caught_up"))
"""What begins, and what ends it. A slice may be held and late at once."""
_SAID: Mapping[Kind, str] = {
    "held": "is held",
    "healed": "has healed",
    "late": "is late",
    "caught_up": "has caught up",
}
_Key = tuple[str, str, datetime | None]
"""Table, source and hour of a slice."""
_KEYS = ("notifier", "args")
_LONGEST = 2000
"""Characters of a message: services refuse longer ones, and event text may be as long as a line."""


@dataclass(frozen=True)
class Notifier:
    """A notifier of `dags/alerts.yml`.

    Attributes:
        path: where its class is, such as `airflow.providers.slack.notifications.slack.SlackNotifier`.
        args: its arguments; texts may use `{{ tidegate.text }}`, `.subject`, `.kind`, `.slice`.
    """

    path: str
    args: Mapping[str, Any]

    def make(self) -> Callable[[dict[str, Any]], None]:
        """Return the notifier itself.

        Raises:
            TidegateError: it is not installed, is none, or does not take these arguments.
        """
        from airflow.sdk import BaseNotifier

        module, _, name = self.path.rpartition(".")
        try:
            kind = getattr(importlib.import_module(module), name)
            if not (isinstance(kind, type) and issubclass(kind, BaseNotifier)):
                raise TypeError("it is no notifier of Airflow's")
            made: Callable[[dict[str, Any]], None] = kind(**self.args)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise TidegateError(
                f"{self.path} can't be used",
                where="dags/alerts.yml",
                expected="a notifier of an installed provider, and its arguments",
                got=str(error),
                todo="install the provider (such as apache-airflow-providers-slack), or mend the file",
            ) from error
        return made


def alerts_file(settings: Settings) -> Path:
    """Return the file that says who is told."""
    return settings.project / "dags" / "alerts.yml"


def load_notifiers(path: Path) -> list[Notifier]:
    """Read who is told; nobody where there is no file.

    Raises:
        TidegateError: the file has faults; all of them are told.
    """
    try:
        found = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TidegateError(
            "the alerts are not YAML", where=str(path), got=str(error), todo="mend the file"
        ) from error
    if found is None:
        return []
    faults: list[str] = []
    made = []
    if not isinstance(found, list):
        faults.append("expected a list of notifiers")
        found = []
    for place, each in enumerate(found, start=1):
        if not isinstance(each, dict) or not isinstance(each.get("notifier"), str):
            faults.append(f"notifier {place}: expected a mapping with notifier and args")
            continue
        faults += [
            f"notifier {place}: unknown key {key!r}; {hint(str(key), _KEYS)}"
            for key in each
            if key not in _KEYS
        ]
        args = each.get("args", {})
        if not isinstance(args, dict):
            faults.append(f"notifier {place}: args: expected a mapping")
            continue
        made.append(Notifier(each["notifier"], args))
    if faults:
        raise FaultsError(str(path), faults, "the alerts")
    return made


def tell(
    settings: Settings,
    kind: Kind,
    slices: Sequence[tuple[HeldSlice, str]],
    context: Mapping[str, Any],
    say: Callable[[str], None],
) -> None:
    """Tell people what happened to slices, unless they know; of an end, only if they know of its begin.

    A notifier that fails is written down and said, and stops neither the others nor the task: the tables are
    as they should be, and the next time tells again.

    Args:
        settings: where things are.
        kind: what happened.
        slices: to which slices, each with what to say.
        context: of the task, as Airflow gives it.
        say: is given a line for the task's log.
    """
    notifiers = load_notifiers(alerts_file(settings))
    if not notifiers or not slices:
        return
    from tidegate.pipeline.context.run_context import system_tables

    begins = kind in {begin for begin, _ in _PAIRS}
    with system_tables(settings, _run_id(context), say) as work:
        open_now = _open(work.lake, kind, {held.source for held, _ in slices})
        for held, text in slices:
            if (_key(held) in open_now) != begins:
                _send(work, notifiers, kind, held, text, context)


def open_hours(settings: Settings, kind: Kind, sources: Collection[str]) -> list[HeldSlice]:
    """Return the hours of events of which people were told that this began, and not yet that it ended.

    Nothing, where nobody is told.
    """
    from tidegate.pipeline.context.run_context import system_tables
    from tidegate.pipeline.publish.approve import HeldSlice
    from tidegate.tables import events

    if not load_notifiers(alerts_file(settings)):
        return []
    with system_tables(settings) as work:
        found = _open(work.lake, kind, sources)
    return sorted(
        (
            HeldSlice(events.TABLE, source, hour)
            for table, source, hour in found
            if table == events.TABLE.name and hour is not None
        ),
        key=str,
    )


def _open(lake: Lake, kind: Kind, sources: Collection[str]) -> set[_Key]:
    """Return the slices of some sources of which people know that a pair of kinds began, and no end of it."""
    if not sources:
        return set()
    begin, end = next(pair for pair in _PAIRS if kind in pair)
    names = ", ".join(literal(name) for name in sorted(sources))
    told = lake.book(
        ALERTS,
        f"kind in ({literal(begin)}, {literal(end)}) and source in ({names})",
        ("table_name", "source", "slice", "kind", "sent_at", "notifiers"),
    )
    last: dict[_Key, str] = {}
    for row in sorted(told, key=lambda row: parse_time(row["sent_at"])):
        if row["notifiers"]:  # else nobody was reached
            hour = parse_time(row["slice"]) if row["slice"] else None
            last[row["table_name"], row["source"], hour] = row["kind"]
    return {key for key, said in last.items() if said == begin}


def _key(held: HeldSlice) -> _Key:
    return held.table.name, held.source, held.hour


def _send(
    work: Work,
    notifiers: Sequence[Notifier],
    kind: Kind,
    held: HeldSlice,
    text: str,
    context: Mapping[str, Any],
) -> None:
    from tidegate.common.text_output import visible
    from tidegate.pipeline.context.run_context import new_id, now

    message = "\n".join(visible(line) for line in text.splitlines())[:_LONGEST]
    what = {
        "kind": kind,
        "slice": str(held),
        "subject": f"Tidegate: {held} {_SAID[kind]}",
        "text": message,
    }
    reached, failed = [], []
    for each in notifiers:
        try:
            each.make()({**context, "tidegate": what})
        except Exception as error:  # whatever a service's client raises
            failed.append(f"{each.path}: {error}")
            work.tell(f"could not tell {each.path} that {what['subject']}: {error}")
        else:
            reached.append(each.path)
    work.lake.append(
        ALERTS,
        [
            {
                "alert_id": new_id(),
                "table_name": held.table.name,
                "source": held.source,
                "slice": held.hour,
                "kind": kind,
                "text": message,
                "notifiers": reached,
                "error": "; ".join(failed) or None,
                "run_id": work.run_id,
                "sent_at": now(),
            }
        ],
    )


def _run_id(context: Mapping[str, Any]) -> str:
    run = context["dag_run"]
    return f"{run.dag_id}/{run.run_id}"
