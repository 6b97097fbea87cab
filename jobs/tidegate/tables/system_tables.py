"""The ops tables: what the system writes down of its own work."""

from __future__ import annotations

from tidegate.tables.model import Column, Table

LANDINGS = Table(
    name="landings",
    area="ops",
    columns=(
        Column("landing_id", "string", "id of the landing; its candidate lies in staging under it"),
        Column("source", "string", "name of the source"),
        Column("dump_hour", "timestamp", "UTC hour of the dump"),
        Column("status", "string", "landed, or unreadable: a file could not be read whole"),
        Column("error", "string", "what made it unreadable"),
        Column(
            "files",
            "array<struct<name:string,uri:string,size:bigint,etag:string,lines:bigint>>",
            "the files of the dump, with bytes and lines (headers not counted)",
        ),
        Column("bytes", "bigint", "bytes of the files, as stored"),
        Column("lines", "bigint", "lines read = events + duplicates + quarantined"),
        Column("events", "bigint", "candidate events"),
        Column("duplicates", "bigint", "lines that repeat an id of an earlier line of the dump"),
        Column("quarantined", "bigint", "lines that could not become events"),
        Column("quarantined_by_reason", "map<string,bigint>", "those by reason"),
        Column(
            "absent", "array<string>", "declared fields and columns that no event had a value for"
        ),
        Column("fingerprint", "string", "hash of names, sizes and ETags of the files"),
        Column("configuration", "string", "fingerprint of the configuration that it was read by"),
        Column("run_id", "string", "the run that landed it"),
        Column("landed_at", "timestamp", "when, UTC"),
        Column("declared_bytes", "bigint", "bytes that its manifest declares; NULL for nothing"),
        Column("declared_lines", "bigint", "lines that its manifest declares; NULL for nothing"),
        Column(
            "bytes_off",
            "bigint",
            "by how many bytes the files differ from what is declared of each, or of all if that is more",
        ),
        Column("lines_off", "bigint", "by how many lines they do"),
        Column(
            "unnumbered",
            "bigint",
            "lines without a number of a producer; NULL where the source has no sequence",
        ),
        Column(
            "erasures", "bigint", "number of the last erasure that it took into account; NULL: none"
        ),
        Column(
            "staged",
            "array<string>",
            "files of its candidate events, below the candidate's folder; NULL: all that are there",
        ),
        Column(
            "unread",
            "array<struct<name:string,reason:string>>",
            "files and folders (`/` at the end) of the hour that were not read, and why; the first 100",
        ),
        Column("unread_count", "bigint", "how many there were; NULL: unknown"),
        Column(
            "repeated",
            "array<struct<name:string,same_as:string>>",
            "files with the same bytes as another one; those not in files were left out; the first 100",
        ),
        Column("repeated_count", "bigint", "how many there were; NULL: unknown"),
        Column(
            "notes",
            "map<string,bigint>",
            "how many cut_times (of events, beyond microseconds), ambiguous_times, nonexistent_times (of local "
            "clocks), stand_ins (events with a text that is no user) and undeclared_files (that the manifest does not "
            "name) there were; NULL: not counted",
        ),
    ),
    key=("landing_id",),
    slice=(),
    partition=("source",),
    statistics=("dump_hour", "landed_at"),
    meaning="a landing of a source's hour",
)

QUARANTINE = Table(
    name="quarantine",
    area="ops",
    columns=(
        Column("source", "string", "name of the source"),
        Column("dump_hour", "timestamp", "UTC hour of the dump"),
        Column("landing_id", "string", "the landing that met the line"),
        Column("file", "string", "file of the dump, relative to the root of the source's dumps"),
        Column("line", "bigint", "line in that file, from 1"),
        Column("reason", "string", "why it could not become an event, one word"),
        Column("detail", "string", "expected and got"),
        Column(
            "raw",
            "string",
            "the line, bytes that are not UTF-8 replaced; with pii, what that keeps of it, or NULL; NULL where "
            "it is, or may be, of somebody who was erased",
        ),
        Column("raw_bytes", "binary", "the line's bytes, where it is not UTF-8"),
    ),
    key=("source", "dump_hour", "file", "line"),
    slice=("source", "dump_hour"),
    partition=("source",),
    statistics=("dump_hour",),
    meaning="a line that could not become an event",
)

AUDITS = Table(
    name="audits",
    area="ops",
    columns=(
        Column("audit_id", "string", "one run of a suite on one candidate"),
        Column("table_name", "string", "the table whose suite it is"),
        Column("source", "string", "name of the source"),
        Column("slices", "array<timestamp>", "the slices of the candidate"),
        Column("content", "string", "what exactly was audited: landing and withheld duplicates"),
        Column("suite", "string", "fingerprint of the suite"),
        Column("expectation", "string", "type and column of the expectation"),
        Column("severity", "string", "critical holds, warning tells, info records"),
        Column(
            "success",
            "boolean",
            "whether it was met; an exception in a check is a failure; NULL: not known",
        ),
        Column("observed", "string", "what was found"),
        Column("expected", "string", "what was asked for"),
        Column("why", "string", "the reason the suite gives for it, or who approved gave"),
        Column("run_id", "string", "the run that audited"),
        Column("audited_at", "timestamp", "when, UTC"),
        Column(
            "status",
            "string",
            "met; failed; warming up (too little history to say); approved (published knowingly, "
            "though it failed)",
        ),
        Column(
            "metric",
            "double",
            "what was found, as a number; of expectations of single rows: the share of rows that "
            "are not as expected, 0 to 1",
        ),
        Column(
            "facts",
            "string",
            "what was known of the candidate beside its rows, JSON; in the first row of an audit",
        ),
        Column("approved_by", "string", "who approved"),
    ),
    key=("audit_id", "expectation"),
    slice=(),
    partition=("table_name",),
    statistics=("audited_at",),
    meaning="an expectation run",
)

PUBLICATIONS = Table(
    name="publications",
    area="ops",
    columns=(
        Column("publication_id", "string", "id of the publication"),
        Column("table_name", "string", "the table published to"),
        Column("source", "string", "name of the source"),
        Column(
            "sequence", "bigint", "number of the publication within its table and source, from 1"
        ),
        Column("delta_version", "bigint", "the version of the table that its commit made"),
        Column(
            "slices",
            "array<struct<slice:timestamp,landing_id:string,rows:bigint,duplicates:bigint>>",
            "the slices it replaced: rows published, candidate rows withheld as duplicates of others",
        ),
        Column("slice_min", "timestamp", "earliest of the slices"),
        Column("slice_max", "timestamp", "latest of the slices"),
        Column("rows", "bigint", "rows it put in"),
        Column("event_hours", "array<timestamp>", "UTC hours of the events it put in or took out"),
        Column("event_dates", "array<date>", "UTC dates of those hours"),
        Column("inputs", "array<string>", "ids of the publications it was built from"),
        Column("input_versions", "map<string,bigint>", "versions of the tables it was built from"),
        Column("audit_ids", "array<string>", "the audits that let it pass"),
        Column("configuration", "string", "fingerprint of what decides its rows beside its inputs"),
        Column("code_version", "int", "version of the code that made the rows"),
        Column("suite", "string", "fingerprint of the suite that let it pass"),
        Column(
            "renames",
            "boolean",
            "of sessions: whether published ids are no more, or lead elsewhere",
        ),
        Column("run_id", "string", "the run that published it"),
        Column("published_at", "timestamp", "when, UTC"),
    ),
    key=("publication_id",),
    slice=(),
    partition=("table_name",),
    statistics=("delta_version", "slice_min", "slice_max"),
    meaning="a publication",
)

RELEASES = Table(
    name="releases",
    area="ops",
    columns=(
        Column("release_id", "string", "id of the release"),
        Column("sequence", "bigint", "number of the release, from 1"),
        Column("released_at", "timestamp", "when, UTC"),
        Column("versions", "map<string,bigint>", "version of each warehouse table"),
        Column(
            "publications", "array<string>", "publications that are new since the release before"
        ),
        Column("behind", "array<string>", "sources whose derived tables lag behind their events"),
        Column(
            "configurations",
            "array<struct<table_name:string,source:string,configuration:string,code_version:int,"
            "suite:string>>",
            "what each table's rows of each source were made by",
        ),
        Column("run_id", "string", "the run that made it"),
        Column(
            "rolled_back_to",
            "string",
            "the earlier release whose versions it shows again; NULL: it shows what was newest",
        ),
        Column("rolled_back_by", "string", "who rolled back"),
        Column("reason", "string", "why"),
        Column(
            "metrics",
            "map<string,string>",
            "the metrics in force: name and definition, JSON in the words of its file",
        ),
    ),
    key=("release_id",),
    slice=(),
    partition=(),
    statistics=("released_at",),
    meaning="a release",
)

CORRECTIONS = Table(
    name="corrections",
    area="ops",
    columns=(
        Column("release_id", "string", "the release that shows it first"),
        Column("sequence", "bigint", "number of that release"),
        Column("table_name", "string", "the published table that changed"),
        Column("source", "string", "name of the source"),
        Column("date", "date", "UTC date that the number is about"),
        Column("hour", "timestamp", "UTC hour that it is about; NULL: the whole day"),
        Column("event_type", "string", "the event type that it is about, of an hour"),
        Column("metric", "string", "column of the table"),
        Column("before", "double", "what the release before showed; NULL for nothing"),
        Column("after", "double", "what this release shows; NULL for nothing"),
        Column("delta", "double", "after - before, nothing counted as 0"),
        Column(
            "cause",
            "string",
            "new (a day goes on), late, corrected, duplicate, configuration, erased (a person asked to be "
            "forgotten), rollback; several with commas",
        ),
        Column("publications", "array<string>", "publications of the table that made the change"),
    ),
    key=("sequence", "table_name", "source", "date", "hour", "event_type", "metric"),
    slice=(),
    partition=(),
    statistics=("sequence", "date"),
    meaning="a published number that a release changed",
)

ALERTS = Table(
    name="alerts",
    area="ops",
    columns=(
        Column("alert_id", "string", "id of the alert"),
        Column("table_name", "string", "the table"),
        Column("source", "string", "name of the source"),
        Column("slice", "timestamp", "the dump hour, of events; NULL: the source's whole table"),
        Column(
            "kind",
            "string",
            "held, or healed: published after it was held; late: the first hour of those that are not "
            "there when promised, or caught_up: they are, and later ones came in time",
        ),
        Column("text", "string", "what was said"),
        Column("notifiers", "array<string>", "the notifiers that took it"),
        Column("error", "string", "what those that did not said"),
        Column("run_id", "string", "the run that told"),
        Column("sent_at", "timestamp", "when, UTC"),
    ),
    key=("alert_id",),
    slice=(),
    partition=(),
    statistics=("sent_at",),
    meaning="an alert that was sent",
)

CONFIGURATIONS = Table(
    name="configurations",
    area="ops",
    columns=(
        Column("configuration", "string", "fingerprint of what decides a table's rows"),
        Column("table_name", "string", "the table"),
        Column("source", "string", "name of the source"),
        Column("definition", "string", "the source file's part in it, JSON in the file's words"),
        Column("code_version", "int", "version of the code"),
        Column("run_id", "string", "the run that published by it first"),
        Column("recorded_at", "timestamp", "when, UTC"),
    ),
    key=("configuration",),
    slice=(),
    partition=(),
    statistics=(),
    meaning="a configuration that rows were published by",
)

MAINTENANCE = Table(
    name="maintenance",
    area="ops",
    columns=(
        Column("maintenance_id", "string", "id of what was done"),
        Column("part", "string", "compact, fold, vacuum, log, candidates; promise: see kept_from"),
        Column("place", "string", "the table, or the folder, below the lake"),
        Column(
            "kept_from",
            "bigint",
            "from this version of the table on all are kept; said before anything older is removed",
        ),
        Column("files", "bigint", "files freed; of compact and fold: by how many they are fewer"),
        Column("bytes", "bigint", "bytes freed"),
        Column("note", "string", "what was done, in words"),
        Column("run_id", "string", "the run that did it"),
        Column("done_at", "timestamp", "when, UTC"),
    ),
    key=("maintenance_id",),
    slice=(),
    partition=(),
    statistics=("done_at",),
    meaning="what maintenance did to a table or a folder",
)

NUMBERS = Table(
    name="numbers",
    area="ops",
    columns=(
        Column("landing_id", "string", "the landing that received them"),
        Column("source", "string", "name of the source"),
        Column("dump_hour", "timestamp", "UTC hour of the dump"),
        Column("producer", "string", "who numbers its events"),
        Column("received", "bigint", "lines with a number of this producer"),
        Column("first", "bigint", "smallest number"),
        Column("last", "bigint", "largest number"),
        Column(
            "runs",
            "array<struct<first:bigint,last:bigint>>",
            "the different numbers as runs without a gap, in order; NULL where they were too many to keep",
        ),
    ),
    key=("landing_id", "producer"),
    slice=(),
    partition=("source",),
    statistics=("dump_hour",),
    meaning="a producer whose numbers a landing received",
)

ERASURES = Table(
    name="erasures",
    area="ops",
    columns=(
        Column("erasure_id", "string", "id of the erasure"),
        Column(
            "source",
            "string",
            "name of the source that the person is erased from; NULL: all, those to come included",
        ),
        Column("sequence", "bigint", "number of the erasure, from 1"),
        Column("status", "string", "asked; done: its receipt"),
        Column(
            "persons", "array<string>", "keyed hashes of the ids; the ids themselves are nowhere"
        ),
        Column("key", "string", "fingerprint of the key that they are hashed by"),
        Column("reason", "string", "why, as far as it was told"),
        Column("done_by", "string", "who asked, or finished it"),
        Column("done_at", "timestamp", "when, UTC"),
        Column("run_id", "string", "the run"),
        Column("found", "map<string,bigint>", "what there was of the person"),
        Column(
            "removed",
            "map<string,bigint>",
            "of a receipt: files of earlier versions and candidates, their bytes, and the files scanned",
        ),
        Column(
            "dumps",
            "array<string>",
            "the dumps' files that have lines of the person, and are not touched",
        ),
    ),
    key=("erasure_id", "status", "done_at"),
    slice=(),
    partition=(),
    statistics=("sequence",),
    meaning="an erasure of a person as it was asked for, or its receipt",
)
