"""The nearest right name to a wrong one."""

from tidegate.common.suggestions import hint, nearest


def test_a_misspelt_name_finds_the_right_one() -> None:
    assert nearest("evnt_id", ["event_time", "event_id", "user_id"]) == "event_id"


def test_case_and_dashes_do_not_count() -> None:
    assert nearest("Event-ID", ["event_id", "event_time"]) == "event_id"


def test_nothing_near_gives_nothing() -> None:
    assert nearest("zebra", ["event_id"]) is None
    assert nearest("x", []) is None


def test_a_hint_names_the_nearest_or_else_all() -> None:
    assert hint("sorce", ["source", "since"]) == "did you mean 'source'?"
    assert hint("zebra", ["source", "since"]) == "known: source, since"
    assert hint("zebra", []) == "none is known"
