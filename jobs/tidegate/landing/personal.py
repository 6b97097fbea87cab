"""Personal data of a record: hashed, dropped or kept before anything else sees its values.

Keyed hashes are HMAC-SHA-256. They are computed here and not in SQL, so that no query's text holds the key.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from tidegate.config.source import FieldRef, Source
from tidegate.landing import convert
from tidegate.landing.plan import Names, Plan
from tidegate.landing.records import Mask, mask_of
from tidegate.privacy.erased import ID_COLUMNS, Erased, hashed, hashed_id
from tidegate.privacy.key import PiiKey


class Treatment:
    """What is done with the personal values of a source.

    Args:
        source: whose `pii` says it.
        key: that values are hashed by.
    """

    def __init__(self, source: Source, key: PiiKey | None) -> None:
        self._source = source
        self._key = key
        self.without_spaces: dict[str, str] = {}
        """Hashes of texts with spaces around them, and the hashes of these texts without them."""

    def __call__(self, names: Names, text: str) -> str | None:
        """Return what takes the place of the value of a path; None where it is dropped."""
        action = self._source.pii_action(names)
        if action == "drop":
            return None
        if action != "hash":
            return text
        assert self._key is not None
        out = hashed(text, self._key)
        if (bare := text.strip(" ")) != text:
            self.without_spaces[out] = hashed(bare, self._key)
        return out


def treatment(source: Source, key: PiiKey | None) -> Treatment | None:
    """Return what is done with values; None for a source without personal data.

    Args:
        source: whose `pii` says it.
        key: that values are hashed by.

    Raises:
        ValueError: the source hashes, and there is no key.
    """
    if source.hashes and key is None:
        raise ValueError(f"{source.source} hashes personal data, and no key is given")
    return Treatment(source, key) if source.pii else None


def stand_ins(plan: Plan, treat: Treatment | None) -> dict[str, pa.Array]:
    """Return the texts that stand for no person, as records have them: by name of an id.

    Args:
        plan: of the source.
        treat: what is done with personal values; where an id is hashed, so are they.
    """
    texts = plan.source.nobody

    def of(ref: FieldRef) -> list[str]:
        if treat is None or plan.source.pii_action(ref.names()) != "hash":
            return list(texts)
        return [str(treat(ref.names(), text)) for text in texts]

    return {
        name: pa.array(of(ref), pa.string())
        for name, ref in plan.refs.items()
        if name in ID_COLUMNS and texts
    }


def treated(
    columns: Mapping[Names, pa.Array], treat: Treatment, source: Source
) -> dict[Names, pa.Array]:
    """Return columns with their personal values treated, each different value once.

    Args:
        columns: by path.
        treat: what is done with a value.
        source: whose `pii` names the paths.
    """
    out = dict(columns)
    for names, values in columns.items():
        if source.pii_action(names) in ("hash", "drop"):
            encoded = convert.to_text(values).dictionary_encode()
            texts = [treat(names, text) for text in encoded.dictionary.to_pylist()]
            out[names] = pa.array(texts, pa.string()).take(encoded.indices)
    return out


def is_erased(texts: pa.Array, erased: Erased, treat: Treatment | None) -> Mask:
    """Return which texts are the id of an erased person.

    Ids are compared by their exact text, but not here: spaces around the id of an erased person may be all
    that differs, and nothing of that person may come back.

    Args:
        texts: ids, as events have them.
        erased: those persons.
        treat: what was done with personal values.
    """
    encoded = texts.dictionary_encode()
    persons = frozenset(erased.persons)
    without_spaces = treat.without_spaces if treat is not None else {}

    def is_one(text: str) -> bool:
        known = {text, text.strip(" "), without_spaces.get(text, text)}
        return any(hashed_id(erased.key, name) in persons for name in known)

    marks = [is_one(text) for text in encoded.dictionary.to_pylist()]
    return mask_of(pa.array(marks, pa.bool_()).take(encoded.indices))
