"""Small exports as well-known producers write them, from data of the tests' own: files by name."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tidegate.propose.snowplow import COLUMNS as SNOWPLOW

TEN = datetime(2026, 5, 1, 10, tzinfo=UTC)
"""The first of the two hours of each export."""
HOURS = (TEN, TEN + timedelta(hours=1))
COUNT = 12
"""Events of an hour."""

Files = Mapping[str, bytes]


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def events() -> Iterable[tuple[datetime, int, datetime]]:
    """Yield the dump hour, the number and the time of each event."""
    for at, hour in enumerate(HOURS):
        for n in range(COUNT):
            yield hour, at * COUNT + n, hour + timedelta(minutes=4 * n, seconds=n)


def by_hour(line: Callable[[int, datetime], str], name: Callable[[datetime], str]) -> Files:
    """Return a file of lines an hour."""
    files: dict[str, list[str]] = {}
    for hour, number, time in events():
        files.setdefault(name(hour), []).append(line(number, time))
    return {name: packed(name, "\n".join(lines) + "\n") for name, lines in files.items()}


def packed(name: str, text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode()


def iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def segment() -> Files:
    def line(n: int, time: datetime) -> str:
        call: dict[str, Any] = {
            "anonymousId": f"an{n % 5}",
            "context": {"ip": "192.0.2.1", "library": {"name": "analytics.js"}},
            "messageId": f"ajs-{n}",
            "originalTimestamp": iso(time),
            "properties": {"revenue": 12.5} if n % 2 else {},
            "receivedAt": iso(time + timedelta(seconds=2)),
            "timestamp": iso(time),
            "type": ("track", "page")[n % 2],
            "userId": f"u{n % 3}" if n % 3 else None,
        }
        return json.dumps(call)

    return by_hour(
        line, lambda hour: f"{hour:%Y-%m-%d}/{hour:%H}/{hour.timestamp():.0f}000.ab{hour:%H}.gz"
    )


def snowplow() -> Files:
    def line(n: int, time: datetime) -> str:
        cells = dict.fromkeys(SNOWPLOW, "")
        cells |= {
            "app_id": "web",
            "collector_tstamp": f"{time:%Y-%m-%d %H:%M:%S}.123",
            "derived_tstamp": f"{time:%Y-%m-%d %H:%M:%S}.023",
            "domain_sessionid": f"s{n % 6}",
            "domain_userid": f"d{n % 4}",
            "event": "page_view",
            "event_id": uuid(n),
            "event_name": "page_view",
            "user_id": f"u{n % 3}" if n % 2 else "",
            "v_collector": "ssc-2.9.0",
            "v_etl": "enrich-4.2.0",
        }
        return "\t".join(cells.values())

    return by_hour(line, lambda hour: f"run={hour:%Y-%m-%d-%H}-00-00/part-00000.txt.gz")


def mixpanel() -> Files:
    def line(n: int, time: datetime) -> str:
        properties = {
            "time": int(time.timestamp()),
            "distinct_id": f"u{n % 4}",
            "$insert_id": f"mp{n}",
            "$email": "a@example.net",
            "plan": "free",
        }
        return json.dumps({"event": ("Sign up", "View")[n % 2], "properties": properties})

    return by_hour(line, lambda hour: f"{hour:%Y/%m/%d/%H}/events.jsonl.gz")


def amplitude() -> Files:
    def line(n: int, time: datetime) -> str:
        event = {
            "uuid": uuid(n),
            "$insert_id": f"i{n}",
            "amplitude_id": 4_000_000_000 + n % 4,
            "device_id": f"d{n % 4}",
            "event_properties": {"page": "home"},
            "event_time": f"{time:%Y-%m-%d %H:%M:%S.%f}",
            "event_type": "open",
            "ip_address": "192.0.2.7",
            "server_upload_time": f"{time:%Y-%m-%d %H:%M:%S.%f}",
            "session_id": int(TEN.timestamp()) * 1000,
            "user_id": None,
        }
        return json.dumps(event)

    return by_hour(line, lambda hour: f"98765_{hour:%Y-%m-%d}_{hour.hour}#7.json.gz")


def posthog() -> Files:
    def line(n: int, time: datetime) -> str:
        event = {
            "uuid": uuid(n),
            "event": "$pageview",
            "distinct_id": f"u{n % 4}",
            "person_id": uuid(n % 4),
            "properties": {"$session_id": f"s{n % 4}", "$ip": "192.0.2.9"},
            "timestamp": iso(time),
        }
        return json.dumps(event)

    def name(hour: datetime) -> str:
        return f"{hour.isoformat()}-{(hour + timedelta(hours=1)).isoformat()}.jsonl.gz"

    return by_hour(line, name)


def google_event(n: int, time: datetime) -> dict[str, Any]:
    return {
        "event_date": f"{time:%Y%m%d}",
        "event_timestamp": str(int(time.timestamp() * 1_000_000)),
        "event_name": ("page_view", "scroll")[n % 2],
        "event_params": [{"key": "ga_session_id", "value": {"int_value": str(n % 4)}}],
        "user_pseudo_id": f"{n % 4}.1777629600",
        "platform": "WEB",
    }


def google() -> Files:
    return by_hour(
        lambda n, time: json.dumps(google_event(n, time)),
        lambda hour: f"analytics/{hour:%Y%m%d}/{hour:%H}/events-000000000000.json.gz",
    )


def google_parquet() -> Files:
    files = {}
    for hour in HOURS:
        rows = [google_event(n, time) for each, n, time in events() if each == hour]
        for row in rows:
            row["event_timestamp"] = int(row["event_timestamp"])
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), out)
        files[f"analytics/{hour:%Y%m%d}/{hour:%H}/events-000000000000.parquet"] = out.getvalue()
    return files


def cloudfront() -> Files:
    head = (
        "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem "
        "sc-status cs(Referer) cs(User-Agent) x-edge-request-id\n"
    )
    files: dict[str, str] = {}
    for hour, n, time in events():
        cells = [
            f"{time:%Y-%m-%d}", f"{time:%H:%M:%S}", "FRA2", "512", f"192.0.2.{n % 4}", "GET",
            "d1.example.net", "/index.html", "200", "-", "Mozilla/5.0%20(X11)", f"req{n}==",
        ]  # fmt: skip
        name = f"E2EXAMPLE.{hour:%Y-%m-%d-%H}.a{n % 2}.gz"
        files[name] = files.get(name, head) + "\t".join(cells) + "\n"
    return {name: packed(name, text) for name, text in files.items()}


def kafka() -> Files:
    def line(n: int, time: datetime) -> str:
        event = {"id": f"k{n}", "ts": iso(time), "type": "order", "user_id": f"u{n % 4}"}
        return json.dumps(event)

    def name(hour: datetime) -> str:
        return f"topics/orders/year={hour:%Y}/month={hour:%m}/day={hour:%d}/hour={hour:%H}/orders+0+{hour:%H}00.json"

    files = dict(by_hour(line, name))
    keys = {each.replace(".json", ".keys.json"): b'"k"\n' * COUNT for each in files}
    headers = {each.replace(".json", ".headers.json"): b"[]\n" * COUNT for each in files}
    return {**files, **keys, **headers}


def cloudtrail() -> Files:
    files: dict[str, list[dict[str, Any]]] = {}
    for hour, n, time in events():
        record = {
            "eventVersion": "1.08",
            "eventID": uuid(n),
            "eventName": "DescribeInstances",
            "eventSource": "ec2.amazonaws.com",
            "eventTime": f"{time:%Y-%m-%dT%H:%M:%SZ}",
            "sourceIPAddress": "192.0.2.3",
            "userIdentity": {
                "arn": f"arn:aws:iam::111122223333:user/u{n % 3}",
                "principalId": f"AIDA{n % 3}",
                "type": "IAMUser",
            },
        }
        name = (
            f"111122223333_CloudTrail_us-east-2_{hour:%Y%m%dT%H}55Z_{n % 2}Mu0KsOhtH1ar15Z.json.gz"
        )
        files.setdefault(
            f"AWSLogs/111122223333/CloudTrail/us-east-2/{hour:%Y/%m/%d}/{name}", []
        ).append(record)
    return {name: packed(name, json.dumps({"Records": records})) for name, records in files.items()}


def firehose() -> Files:
    files: dict[str, str] = {}
    for hour, n, time in events():
        event = {"id": f"f{n}", "ts": iso(time), "type": "click", "user_id": f"u{n % 4}"}
        name = f"{hour:%Y/%m/%d/%H}/clicks-1-{hour:%Y-%m-%d-%H}-02-33-{uuid(n % 2)}"
        files[name] = files.get(name, "") + json.dumps(event)
    return {name: text.encode() for name, text in files.items()}


def apache() -> Files:
    def line(n: int, time: datetime) -> str:
        agent = r"Dalvik/2.1.0 (Linux; Tab 10\" Build)"
        return (
            f"192.0.2.{n % 4} - - [{time:%d/%b/%Y:%H:%M:%S +0000}] "
            f'"GET /{n} HTTP/1.1" 200 5080 "-" "{agent}"'
        )

    return by_hour(line, lambda hour: f"access-{hour:%Y-%m-%d-%H}.log")


# -- formats: the same events in each --------------------------------------------------------------

Event = Mapping[str, Any]


def plain_events() -> Mapping[datetime, list[dict[str, Any]]]:
    """Return the events of each hour: an id, a time, a type, a user that some lack, and a number."""
    found: dict[datetime, list[dict[str, Any]]] = {}
    for hour, n, time in events():
        event = {
            "id": f"e{n}",
            "at": iso(time),
            "kind": ("view", "buy")[n % 2],
            "user_id": f"u{n % 3}" if n % 4 else None,
            "n": n,
        }
        found.setdefault(hour, []).append(event)
    return found


def each_hour(name: str, body: Callable[[list[dict[str, Any]]], bytes]) -> Files:
    """Return a file of each hour, whose name has the hour in place of `HOUR`."""
    return {
        name.replace("HOUR", f"{hour:%Y-%m-%dT%H}"): body(events)
        for hour, events in plain_events().items()
    }


def json_lines(events: Iterable[Event]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def rows(
    events: Iterable[Event], delimiter: str = ",", null: str = "", header: bool = True
) -> list[str]:
    """Return the lines of delimited text."""
    lines = [delimiter.join(("id", "at", "kind", "user_id", "n"))] if header else []
    for event in events:
        cells = (null if value is None else str(value) for value in event.values())
        lines.append(delimiter.join(cells))
    return lines


def text(lines: Iterable[str], encoding: str = "utf-8") -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(encoding)


def compressed(codec: str, body: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, codec) as stream:
        stream.write(body)
    data: bytes = out.getvalue().to_pybytes()
    return data


def snappy_frames(body: bytes) -> bytes:
    """Return framed Snappy; its chunks are stored and not compressed, which is allowed."""
    found = [b"\xff\x06\x00\x00sNaPpY"]
    for at in range(0, len(body), 1 << 16):
        piece = body[at : at + (1 << 16)]
        found.append(b"\x01" + (len(piece) + 4).to_bytes(3, "little"))
        found.append(_masked_crc(piece).to_bytes(4, "little") + piece)
    return b"".join(found)


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17 & 0xFFFFFFFF)) + 0xA282EAD8) & 0xFFFFFFFF


def parquet(events: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(events), out)
    return out.getvalue()


def avro(events: list[dict[str, Any]]) -> bytes:
    import fastavro

    out = io.BytesIO()
    kinds = {"id": "string", "at": "string", "kind": "string", "user_id": "string", "n": "long"}
    fields = [{"name": name, "type": ["null", kind]} for name, kind in kinds.items()]
    fastavro.writer(out, {"type": "record", "name": "event", "fields": fields}, events)
    return out.getvalue()


def timed(form: Callable[[datetime], Mapping[str, Any]]) -> Callable[[list[dict[str, Any]]], bytes]:
    """Return what writes JSON whose times are written in another way: new members in place of `at`."""

    def body(events: list[dict[str, Any]]) -> bytes:
        return json_lines(
            {
                **{name: value for name, value in event.items() if name != "at"},
                **form(datetime.fromisoformat(event["at"])),
            }
            for event in events
        )

    return body


FORMATS: Mapping[str, Files] = {
    "json lines": each_hour("HOUR.json", json_lines),
    "json array of a line": each_hour("HOUR.json", lambda e: json.dumps(e).encode()),
    "json array of lines": each_hour(
        "HOUR.json", lambda e: b"[\n" + b",\n".join(json_lines(e).splitlines()) + b"\n]\n"
    ),
    "json array, pretty": each_hour("HOUR.json", lambda e: json.dumps(e, indent=2).encode()),
    "json without line feeds": each_hour("HOUR.json", lambda e: json_lines(e).replace(b"\n", b"")),
    "json in an object": each_hour(
        "HOUR.json", lambda e: json.dumps({"meta": {"n": 1}, "data": {"events": e}}).encode()
    ),
    "gzip with padding": each_hour(
        "HOUR.json.gz", lambda e: gzip.compress(json_lines(e), mtime=0) + bytes(512)
    ),
    "zstd": each_hour("HOUR.json.zst", lambda e: compressed("zstd", json_lines(e))),
    "framed snappy": each_hour("HOUR.json.sz", lambda e: snappy_frames(json_lines(e))),
    "parquet": each_hour("HOUR.parquet", parquet),
    "avro": each_hour("HOUR.avro", avro),
    "avro without a name for it": each_hour("events+0+HOUR", avro),
    "csv": each_hour("HOUR.csv", lambda e: text(rows(e))),
    "csv, semicolons": each_hour("HOUR.csv", lambda e: text(rows(e, ";"))),
    "csv, tabs": each_hour("HOUR.tsv.gz", lambda e: gzip.compress(text(rows(e, "\t")), mtime=0)),
    "csv, no header": each_hour("HOUR.csv", lambda e: text(rows(e, header=False))),
    "csv, null marks": each_hour("HOUR.csv", lambda e: text(rows(e, null="\\N"))),
    "csv, comments": each_hour("HOUR.csv", lambda e: text(["# a job", *rows(e), "# the end"])),
    "csv, a title": each_hour("HOUR.csv", lambda e: text(["Events of the shop", *rows(e)])),
    "csv, utf-16": each_hour("HOUR.csv", lambda e: text(rows(e), "utf-16")),
    "csv, latin": each_hour(
        "HOUR.csv",
        lambda e: text(
            rows([{**each, "kind": f"{each['kind']}_caf\u00e9"} for each in e]), "latin-1"
        ),
    ),
    "csv, escaped quotes": each_hour(
        "HOUR.csv",
        lambda e: text(rows([{**each, "kind": f'"{each["kind"]} \\"x\\", y"'} for each in e])),
    ),
    "times in seconds": each_hour("HOUR.json", timed(lambda t: {"ts": int(t.timestamp())})),
    "times in milliseconds": each_hour(
        "HOUR.json", timed(lambda t: {"ts": int(t.timestamp() * 1000)})
    ),
    "times of logs": each_hour(
        "HOUR.json", timed(lambda t: {"time": f"{t:%d/%b/%Y:%H:%M:%S} +0000"})
    ),
    "times of Germany": each_hour("HOUR.json", timed(lambda t: {"time": f"{t:%d.%m.%Y %H:%M:%S}"})),
    "times in two columns": each_hour(
        "HOUR.json", timed(lambda t: {"date": f"{t:%Y-%m-%d}", "time": f"{t:%H:%M:%S}"})
    ),
    "no times": each_hour("HOUR.json", timed(lambda _: {})),
}
"""The same events in each format that is read, and with times in several forms."""
