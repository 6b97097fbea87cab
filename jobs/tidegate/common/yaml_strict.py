"""Reading YAML strictly.

A key given twice is an error, where PyYAML would silently keep the last.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from tidegate.common.errors import SourceError


class _DuplicateKeysError(yaml.YAMLError):
    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


class _Strict(yaml.constructor.SafeConstructor):
    """A part of a loader that notes keys that are given twice in one mapping."""

    twice: list[str]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            if key is not None and key in first:
                self.twice.append(f"key '{key}' is given twice, in lines {first[key]} and {line}")
            first.setdefault(key, line)
        return super().construct_mapping(node, deep=deep)


class _PythonLoader(_Strict, yaml.SafeLoader):
    """yaml.safe_load's loader, strict."""


class _FastLoader(_Strict, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same by libyaml, where PyYAML has it, as its wheels do: eight times as fast.

    Airflow parses all source files again and again. What it says of faults is of less help.
    """


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        SourceError: the file can't be read, is not YAML, holds a key twice, or is no mapping.

    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise SourceError(str(path), ["there is no such file"]) from error
    except UnicodeDecodeError as error:
        raise SourceError(str(path), [f"the file is not UTF-8 (byte {error.start})"]) from error
    except OSError as error:
        raise SourceError(str(path), [f"the file can't be read: {error.strerror}"]) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """Return the mapping that the text of a YAML file holds.

    Raises:
        SourceError: it is not YAML, holds a key twice, or is no mapping.
    """
    try:
        data = load_yaml(text)
    except _DuplicateKeysError as error:
        raise SourceError(str(path), error.faults) from error
    except yaml.YAMLError as error:
        raise SourceError(str(path), [_yaml_fault(error)]) from error
    except ValueError as error:  # PyYAML builds 2015-13-45 as a date and lets datetime complain
        raise SourceError(str(path), [f"a value can't be read as YAML: {error}"]) from error
    if not isinstance(data, dict):
        got = "nothing" if data is None else f"a {type(data).__name__}"
        raise SourceError(str(path), [f"expected keys and values (source: …), got {got}"])
    return data


def load_yaml(text: str) -> object:
    """Return what a text of YAML holds.

    Raises:
        yaml.YAMLError: it is none, or a mapping in it has a key twice.
    """
    try:
        return _load(_FastLoader(text))  # type: ignore[call-arg] # its second base takes it
    except _DuplicateKeysError:
        raise
    except yaml.YAMLError:
        return _load(_PythonLoader(text))


def _load(loader: _PythonLoader | _FastLoader) -> object:
    loader.twice = []
    try:
        data = loader.get_single_data()
        if loader.twice:
            raise _DuplicateKeysError(loader.twice)
        return data
    finally:
        loader.dispose()


def _yaml_fault(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    at = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    tip = "; YAML is indented by spaces, never tabs" if "'\\t'" in problem else ""
    if "mapping values are not allowed" in problem:
        tip = "; put a text that holds ': ' in quotes"
    elif "expected <block end>" in problem:
        tip = "; put a text that begins with '{', '[', '*' or a quote in quotes as a whole"
    return f"not YAML{at}: {problem}{tip}"
