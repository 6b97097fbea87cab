"""Alerts: people are told when a slice is held and when it heals, by Airflow's own notifiers.

`dags/alerts.yml` names them; where there is no such file nobody is told. `ops/alerts` keeps who was told of
what, so that a slice that is tried again, and held again, is not told of again.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from tidegate.errors import FaultsError, TidegateError
from tidegate.lake import literal
from tidegate.nearest import hint
from tidegate.tables.books import ALERTS
from tidegate.yaml_file import load_yaml

if TYPE_CHECKING:
    from tidegate.query import Books
    from tidegate.settings import Settings
    from tidegate.steps.approve import HeldSlice
    from tidegate.steps.work import Work

Kind = Literal["held", "healed"]
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
    """Tell people that slices are held, or that they healed, unless they know.

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
    from tidegate.query import Books
    from tidegate.steps.work import working

    books = Books(settings.lake, settings.s3)
    news = [(held, text) for held, text in slices if _is_open(books, held) != (kind == "held")]
    if not news:  # as of nearly every hour: not worth a session
        return
    with working(settings, _run_id(context), say) as work:
        for held, text in news:
            _send(work, notifiers, kind, held, text, context)


def _is_open(books: Books, held: HeldSlice) -> bool:
    """Return whether people were told that a slice is held and not yet that it healed."""
    when = "slice is null" if held.hour is None else f"slice = {literal(held.hour)}"
    told = books.rows(
        f"{ALERTS.area}/{ALERTS.name}",
        f"table_name = {literal(held.table.name)} and source = {literal(held.source)} and {when}",
        ("kind", "sent_at", "notifiers"),
    )
    reached = [row for row in told if row["notifiers"]]
    return bool(reached) and max(reached, key=lambda row: row["sent_at"])["kind"] == "held"


def _send(
    work: Work,
    notifiers: Sequence[Notifier],
    kind: Kind,
    held: HeldSlice,
    text: str,
    context: Mapping[str, Any],
) -> None:
    from tidegate.rendering import visible
    from tidegate.steps.work import new_id, now

    message = "\n".join(visible(line) for line in text.splitlines())[:_LONGEST]
    what = {
        "kind": kind,
        "slice": str(held),
        "subject": f"Tidegate: {held} {'is held' if kind == 'held' else 'has healed'}",
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
