"""Exports of well-known producers, told by the names of their fields or files, and which field is what. Pure.

Each names the vendor's document that the names are from.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tidegate.config.source import split_path
from tidegate.propose.words import words

Path = tuple[str, ...]


@dataclass(frozen=True)
class Export:
    """What a producer writes.

    Attributes:
        name: of the producer and its export.
        signs: paths, dotted, that are all there in its records; none where the events are a user's own.
        event_id, event_time, event_type, user_id, anonymous_id, session_id: paths of the fields of an event.
        personal: paths of personal data that its document names, and that records may have.
        layout: why its names tell no hour, and what to do, where that is how it names its files.
        files: what names of its files look like, where they and not its fields tell it.
        short_hours: whether names of its files have hours without a leading zero.
    """

    name: str
    signs: tuple[str, ...] = ()
    event_time: str | None = None
    event_id: str | None = None
    event_type: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    personal: tuple[str, ...] = ()
    layout: str = ""
    files: re.Pattern[str] | None = None
    short_hours: bool = False

    def path(self, field: str) -> Path | None:
        """Return the path of a field of an event, or None where the export has none."""
        text: str | None = getattr(self, field)
        return split_path(text) if text is not None else None

    def personal_paths(self) -> tuple[Path, ...]:
        """Return the paths of personal data."""
        return tuple(split_path(path) for path in self.personal)


EXPORTS = (
    # Twilio Segment, "AWS S3 destination" and "Spec: Common fields".
    Export(
        "Segment's calls",
        words("messageId type timestamp receivedAt originalTimestamp"),
        event_id="messageId",
        event_time="timestamp",
        event_type="type",
        user_id="userId",
        anonymous_id="anonymousId",
        personal=words("context.ip context.traits.email traits.email traits.phone traits.name"),
        layout="Segment has folders of days, named in milliseconds: copy the files into folders of the hours in which "
        "they arrived",
    ),
    # Snowplow, "Canonical event model".
    Export(
        "Snowplow's enriched events",
        words("collector_tstamp event_id v_collector v_etl event"),
        event_id="event_id",
        event_time="derived_tstamp",
        event_type="event_name",
        user_id="user_id",
        anonymous_id="domain_userid",
        session_id="domain_sessionid",
        personal=words("user_ipaddress user_fingerprint network_userid"),
    ),
    # Mixpanel, "Raw Event Export API" (Download Data).
    Export(
        "Mixpanel's raw events",
        words("event properties.time properties.distinct_id properties.$insert_id"),
        event_id="properties.$insert_id",
        event_time="properties.time",
        event_type="event",
        user_id="properties.distinct_id",
        personal=words("properties.$email properties.$name properties.$phone properties.ip"),
        layout="Mixpanel exports days: split each export by the hour of properties.time",
    ),
    # Amplitude, "Export API" and "Amazon S3 export": names are PROJECT_yyyy-MM-dd_H#PARTITION.
    Export(
        "Amplitude's export",
        words("uuid event_type event_time device_id amplitude_id"),
        event_id="uuid",
        event_time="event_time",
        event_type="event_type",
        user_id="user_id",
        anonymous_id="device_id",
        session_id="session_id",
        personal=words("ip_address location_lat location_lng idfa adid"),
        short_hours=True,
    ),
    # PostHog, "S3 destination for batch exports", the model of events.
    Export(
        "PostHog's batch export",
        words("uuid event distinct_id timestamp properties"),
        event_id="uuid",
        event_time="timestamp",
        event_type="event",
        user_id="distinct_id",
        session_id="properties.$session_id",
        personal=words("ip properties.$ip person_properties.email person_properties.name"),
    ),
    # Google Analytics 4, "BigQuery Export schema".
    Export(
        "Google Analytics 4's BigQuery export",
        words("event_date event_timestamp event_name user_pseudo_id event_params"),
        event_time="event_timestamp",
        event_type="event_name",
        user_id="user_id",
        anonymous_id="user_pseudo_id",
        personal=words("device.advertising_id geo.city"),
        layout="Google Analytics has tables of days: export them by the hour of event_timestamp",
    ),
    # AWS, "CloudTrail record contents".
    Export(
        "CloudTrail's records",
        words("eventVersion eventTime eventSource eventName eventID"),
        event_id="eventID",
        event_time="eventTime",
        event_type="eventName",
        user_id="userIdentity.arn",
        anonymous_id="userIdentity.principalId",
        personal=words("sourceIPAddress userIdentity.userName"),
    ),
    # GH Archive, "Query and download the data": hours are 0 to 23.
    Export(
        "GH Archive's events",
        words("id type actor repo payload created_at"),
        event_id="id",
        event_time="created_at",
        event_type="type",
        user_id="actor.id",
        short_hours=True,
    ),
    # AWS, "CloudFront standard logging reference".
    Export(
        "CloudFront's standard logs",
        ("date", "time", "x-edge-location", "c-ip", "cs-method", "cs-uri-stem"),
        event_id="x-edge-request-id",
        event_type="cs-method",
        anonymous_id="c-ip",
        personal=("c-ip", "cs(Cookie)", "x-forwarded-for"),
    ),
    # Confluent, "Amazon S3 Sink Connector": topics/TOPIC/PARTITION/TOPIC+PARTITION+OFFSET.EXTENSION.
    Export(
        "Kafka Connect's S3 sink",
        files=re.compile(r"/(?P<topic>[^/]+)/(?:[^/]+/)+(?P=topic)\+\d+\+\d+\.[a-z]+"),
    ),
    # AWS, "Amazon Data Firehose: Configure Amazon S3 object name format".
    Export(
        "Firehose's objects",
        files=re.compile(
            r"/\d{4}/\d\d/\d\d/\d\d/[^/]+-\d+-\d{4}(?:-\d\d){5}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        ),
    ),
)


def known_export(paths: Collection[Path], uris: Sequence[str] = ()) -> Export | None:
    """Return the export that samples are of, or None.

    Args:
        paths: of their records.
        uris: of their files.
    """
    there = set(paths)
    for export in EXPORTS:
        if export.signs and {split_path(sign) for sign in export.signs} <= there:
            return export
        if export.files is not None and uris and all(map(export.files.search, uris)):
            return export
    return None
