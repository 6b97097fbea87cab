"""Lines of access logs, as Apache and nginx write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from corpus.chance import Chance
from fuzz.chances import weighted
from fuzz.model import BAD, Expected, Path, Value, Written, quarantined
from fuzz.records import outcome
from fuzz.sources import Spec
from fuzz.texts import text
from fuzz.times import event_micros

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HOSTS = ("127.0.0.1", "::1", "2001:db8::1", "host.example.org", "10.0.0.7")
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\v": "\\v"}
FIELDS: Mapping[str, Path] = {
    "event_time": ("time",),
    "event_type": ("method",),
    "user_id": ("user",),
    "anonymous_id": ("host",),
}
COLUMNS: Mapping[str, tuple[Path, str]] = {
    "path": (("path",), "string"),
    "status": (("status",), "int"),
    "size": (("bytes",), "bigint"),
    "referer": (("referer",), "string"),
    "agent": (("agent",), "string"),
    "request": (("request",), "string"),
}


@dataclass(frozen=True)
class Log:
    """How the lines of a log are written.

    Attributes:
        spec: the source.
        end: of a line.
        is_combined: whether lines have a referer and an agent.
        faults: how often a line has another form.
    """

    spec: Spec
    end: str
    is_combined: bool
    faults: float

    def record(self, chance: Chance) -> Written:
        """Return a line."""
        if chance.happens(self.faults):
            bad, reason = chance.choice(_FAULTS)
            raw = bad + self.end[:-1].encode()
            return Written(raw + b"\n", quarantined(reason, raw=None if self.spec.pii else raw))
        time, micros = _time(chance, self.spec)
        method, path = chance.choice(("GET", "POST", "HEAD")), "/" + _word(chance)
        request = weighted(
            chance, [(9, f"{method} {path} HTTP/1.1"), (1, ""), (1, "quit"), (1, "\x16\x03\x01")]
        )
        parts = {
            "host": chance.choice(_HOSTS),
            "user": chance.choice(("-", "-", "frank", "null", "é")),
            "request": request,
            "status": chance.choice(("200", "404", "-", "000")),
            "bytes": chance.choice(
                ("-", "0", "2326", "9223372036854775807", "9223372036854775808")
            ),
            "referer": chance.choice(("-", "", "https://example.org/?a=1", text(chance))),
            "agent": chance.choice(("-", "Mozilla/5.0 (X11; Linux)", text(chance))),
        }
        shown = {name: _escaped(chance, parts[name]) for name in ("request", "referer", "agent")}
        begin = f"{parts['host']} - {parts['user']} [{time}]"
        line = f'{begin} "{shown["request"]}" {parts["status"]} {parts["bytes"]}'
        if self.is_combined:
            line += f' "{shown["referer"]}" "{shown["agent"]}"'
        else:
            parts |= {"referer": "", "agent": ""}
        # A text with a backslash and an x stays as it is written.
        parts |= {name: shown[name] for name in shown if "\\x" in parts[name]}
        cells: dict[Path, Value] = {(name,): _value(name, words) for name, words in parts.items()}
        cells["time",] = Value("a time", micros)
        if request.endswith("HTTP/1.1"):
            path = parts["request"].removeprefix(f"{method} ").removesuffix(" HTTP/1.1")
            cells |= {("method",): Value(method, method), ("path",): Value(path, path)}
        whole = (line + self.end).encode()
        return Written(whole, self._expected(whole[:-1], cells))

    def _expected(self, raw: bytes, cells: Mapping[Path, Value]) -> Expected:
        expected = outcome(self.spec, cells)
        return expected if self.spec.pii else replace(expected, raw=raw)


_FAULTS = (
    (b"", "blank_line"),
    (b" ", "blank_line"),
    (b"garbage", "not_access_log"),
    (b'1.1.1.1 - - [01/Mar/2024:12:00:00 +0000] "GET / HTTP/1.1', "not_access_log"),
    (b'1.1.1.1 - - [01/Mar/2024:12:00:00] "GET / HTTP/1.1" 200 5', "not_access_log"),
    (b'1.1.1.1 - - [01/Mrz/2024:12:00:00 +0000] "GET / HTTP/1.1" 200 5', "not_access_log"),
    (b'1.1.1.1 - - [01/Mar/2024:12:00:00 +0000] "GET / HTTP/1.1" OK 5', "not_access_log"),
    (b'1.1.1.1 - - [01/Mar/2024:12:00:00 +0000] "GET /\xff HTTP/1.1" 200 5', "not_utf8"),
)
"""Lines that are none of a log, and why."""


def _value(name: str, words: str) -> Value:
    if words in ("", "-"):
        return Value(None, None)
    if name in ("status", "bytes"):
        number = int(words)
        return Value(words, number if number < 1 << (31 if name == "status" else 63) else BAD)
    return Value(words, words)


def _word(chance: Chance) -> str:
    return chance.choice(
        ("", "index.html", "a?b=c&d=%20", text(chance).replace(" ", "+").replace("\\x", "x"))
    )


def _escaped(chance: Chance, words: str) -> str:
    """Return a text as it stands between quotes."""
    out = ""
    for char in words:
        if char in _SHORT or (not char.isprintable() and ord(char) < 128):
            code = f"\\x{ord(char):02{chance.choice('xX')}}"
            out += _SHORT.get(char, code) if char in '"\\' or chance.happens(0.5) else code
        elif ord(char) > 127 and chance.happens(0.3):
            out += "".join(f"\\x{byte:02x}" for byte in char.encode())
        else:
            out += char
    return out


def _time(chance: Chance, spec: Spec) -> tuple[str, int]:
    micros = event_micros(chance, spec.late, spec.future) // 10**6 * 10**6
    minutes = chance.choice((0, 0, 60, -300, 345))
    micros = max(min(micros, 4 * 10**15), -(10**15))
    at = _EPOCH + timedelta(microseconds=micros, minutes=minutes)
    sign = "-" if minutes < 0 else "+"
    offset = f"{sign}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    return f"{at.day:02}/{_MONTHS[at.month - 1]}/{at.year:04}:{at:%H:%M:%S} {offset}", micros


def random_log(chance: Chance) -> Log:
    """Return a source of access logs, and how its files are written."""
    columns = {name: column for name, column in COLUMNS.items() if chance.happens(0.7)}
    spec = Spec({"type": "access_log"}, FIELDS, columns, {}, "iso", 72, 1, ("null",), {})
    end = "\r\n" if chance.happens(0.2) else "\n"
    return Log(spec, end, chance.happens(0.7), chance.choice((0.0, 0.03, 0.1)))
