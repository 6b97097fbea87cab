"""The project's documents: where they are, and the sections, blocks and links in them."""

from __future__ import annotations

import re
from pathlib import Path

from project import REPO

_FOLDERS = ("dags", "expectations", "infra", "jobs", "tests")

README = "README.md"
TOUR = "jobs/tidegate/cli/README.md"
SOURCES = "dags/sources/README.md"
METRICS = "dags/metrics/README.md"
SUITES = "expectations/README.md"
ORCHESTRATION = "dags/README.md"
OPERATIONS = "infra/README.md"
ANALYSTS = "jobs/tidegate/query/README.md"
ARCHITECTURE = "jobs/tidegate/README.md"
MEASUREMENTS = "jobs/tidegate_bench/README.md"

DOCUMENTS: dict[str, str] = {
    path.relative_to(REPO).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(
        [
            REPO / README,
            *(file for folder in _FOLDERS for file in (REPO / folder).rglob("*.md")),
        ]
    )
}
"""Text of each document by its path from the repository's root."""


def section(document: str, title: str) -> str:
    """Return the text below a heading of a document, up to the next heading of its level or above."""
    text = DOCUMENTS[document]
    heading = re.search(rf"^(##+) {re.escape(title)}\n", text, re.MULTILINE)
    assert heading, f"{document} has no section {title!r}"
    rest = text[heading.end() :]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", _without_blocks(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """Return a text without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures of a text."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings of a text, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}


def target(document: str, link: str) -> tuple[Path, str]:
    """Return the file and the anchor that a link of a document leads to."""
    path, _, anchor = link.partition("#")
    file = (REPO / document).parent / path if path else REPO / document
    return file.resolve(), anchor


def _without_blocks(text: str) -> str:
    """Return a text of the same length in which lines of code blocks begin no heading."""
    return re.sub(
        r"^```.*?^```$",
        lambda block: block[0].replace("#", " "),
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
