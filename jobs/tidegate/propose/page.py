"""A proposal as the text of a source file, each line with what was seen. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import yaml
from yaml.reader import Reader

from tidegate.common.text_output import clipped
from tidegate.config.source import join_path
from tidegate.propose.columns import Columns
from tidegate.propose.exports import Export
from tidegate.propose.fields import Pick, Picked
from tidegate.propose.shape import Path

_OTHERS = 40
_REASONS = 40
_COMMENT_AT = 46
_WIDE = 200


def head(
    intro: Sequence[str], looks: Sequence[str], undecided: Sequence[tuple[str, str]]
) -> list[str]:
    """Return the comments above a proposal.

    Args:
        intro: what was read, and what became of it.
        looks: what a person has to look at.
        undecided: what could not be decided, and what to do next.
    """
    lines = [f"# {_comment(text)}" for text in intro]
    lines += [f"# LOOK: {_comment(text)}" for text in looks]
    return lines + [
        f"# COULD NOT DECIDE {_comment(f'{what}. Next: {todo}', 400)}" for what, todo in undecided
    ]


def fields(picked: Picked) -> list[str]:
    """Return the lines of `fields`."""
    lines = ["fields:"]
    when = picked.event_time
    for name in ("event_id", "event_time", "event_type", "user_id", "anonymous_id"):
        if name == "event_time":
            if when is not None:
                lines.append(line(f"  event_time: {flow(when.ref)}", when.why))
            continue
        pick: Pick | None = getattr(picked, name)
        if pick is not None:
            lines.append(line(f"  {name}: {flow(join_path(pick.path))}", pick.why))
        elif name == "event_id":
            lines.append("  # event_id: none was found, so ids are made of file and line")
    return lines


def columns(columns: Columns) -> list[str]:
    """Return the lines of `columns`, and comments on the paths that are none."""
    lines = ["columns:"] if columns.columns else []
    for column in columns.columns:
        lines.append(line(f"  {flow(column.name)}: {flow(column.ref)}", column.why))
    return lines + _others(columns.others)


def _others(others: Mapping[Path, str]) -> list[str]:
    if not others:
        return []
    reasons: dict[str, list[str]] = {}
    for path, why in others.items():
        reasons.setdefault(why, []).append(clipped(".".join(path), 60))
    lines = ["# Not columns; `properties` has them, as it has the whole event:"]
    for why, paths in list(reasons.items())[:_REASONS]:
        more = f" and {len(paths) - _OTHERS} more" if len(paths) > _OTHERS else ""
        comment = _comment(f"{why}: {', '.join(paths[:_OTHERS])}{more}", 1 << 12)
        lines += textwrap.wrap(
            comment, 100, initial_indent="#   ", subsequent_indent="#     ", break_on_hyphens=False
        )
    if len(reasons) > _REASONS:
        lines.append(f"#   and {len(reasons) - _REASONS} more")
    return lines


def possible(picked: Picked, export: Export | None, there: Mapping[Path, object]) -> list[str]:
    """Return comments on keys that the source could have, too.

    Args:
        picked: the fields.
        export: what the samples are an export of, if that is known.
        there: the paths of the samples.
    """
    lines = []
    if picked.session_id is not None:
        said = flow({"id": join_path(picked.session_id)})
        lines.append(f"# sessions: {said}    # the source's own, instead of pauses")
    if picked.sequence is not None:
        producer, number, why = picked.sequence
        said = flow({"producer": join_path(producer), "number": join_path(number)})
        lines.append(f"# sequence: {said}    # {_comment(why)}: what is missing could be told")
    if export is not None:
        paths = [join_path(path) for path in export.personal_paths() if path in there]
        if paths:
            said = flow(dict.fromkeys(paths, "hash"))
            lines.append(
                f"# pii: {said}    # personal data, as in {export.name}: hash, drop or keep"
            )
    return lines


def flow(value: object) -> str:
    """Return a value as YAML within a line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=1 << 20, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


def line(text: str, comment: str) -> str:
    """Return a line with a comment behind it, if there is one."""
    if not comment:
        return text
    return f"{text:<{_COMMENT_AT}}  # {_comment(comment)}"


def _comment(text: str, width: int = _WIDE) -> str:
    """Return text that may stand in a comment: a control character in one is no YAML."""
    return Reader.NON_PRINTABLE.sub("?", clipped(text, width))
