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
