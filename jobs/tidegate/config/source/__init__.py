"""A source: one YAML file in `dags/sources/` that says everything in which sources differ.

```yaml
source: github
since: 2015-01-01T00
dumps: s3://events/github/{dump_hour:%Y-%m-%d}-{dump_hour:%-H}.json.gz
fields: {event_id: id, event_time: created_at, event_type: type, user_id: actor.id}
```
"""

from tidegate.config.source.format import Format
from tidegate.config.source.load import (
    find_source,
    load_source,
    load_sources,
    parse_source,
    readable_sources,
    source_files,
    source_name,
)
from tidegate.config.source.model import (
    RESERVED_COLUMNS,
    Accept,
    Complete,
    Duplicates,
    Fields,
    PiiAction,
    Sequence,
    Sessions,
    Source,
)
from tidegate.config.source.paths import join_path, split_path
from tidegate.config.source.refs import Column, FieldRef, TimeRef
from tidegate.config.source.sql import RAW_LINE

__all__ = [
    "RAW_LINE",
    "RESERVED_COLUMNS",
    "Accept",
    "Column",
    "Complete",
    "Duplicates",
    "FieldRef",
    "Fields",
    "Format",
    "PiiAction",
    "Sequence",
    "Sessions",
    "Source",
    "TimeRef",
    "find_source",
    "join_path",
    "load_source",
    "load_sources",
    "parse_source",
    "readable_sources",
    "source_files",
    "source_name",
    "split_path",
]
