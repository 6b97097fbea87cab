"""What becomes of a line: a pure function of DataFrames, one pass, no shuffle.

Every line comes out once, with `_outcome` event, quarantined or header. Spark's own JSON reader loses
or bends lines in silence (text after an object, arrays, blank lines, bytes that are not UTF-8), so
each of those is looked for here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.landing import pii
from tidegate.landing.erased import ID_COLUMNS, MARK, PRODUCER_MARK, REASON, marked
from tidegate.landing.lines import MAX_LINE_BYTES
from tidegate.sql_text import quoted_name as _quoted
from tidegate.sql_text import quoted_text as _text
from tidegate.tables.events import TABLE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from tidegate.landing.erased import Erased
    from tidegate.pii_key import PiiKey
    from tidegate.source import FieldRef, Source, TimeRef

_MAX_COLUMNS = 200_000
"""A line with more delimiters stops Spark's parser, and with it the job."""

_PRODUCER = "nullif(trim(cast(t__producer as string)), '')"
_MAX_PRODUCER = 256
"""Characters of a producer's name; a longer one is none."""
_MAX_NUMBER = (1 << 63) - 2
"""The largest number of an event: from it to nought there are as many as a bigint can say."""

REASONS: Mapping[str, str] = {
    "not_utf8": "the line's bytes are not UTF-8",
    "too_long": f"the line is longer than {MAX_LINE_BYTES:,} bytes",
    "blank_line": "the line is empty",
    "not_json": "the line is not one JSON value and nothing else",
    "not_object": "the line is JSON, but not an object",
    "wrong_columns": "the line has more or fewer columns than the header",
    "missing_event_id": "the event has no id",
    "missing_event_time": "the event has no time",
    "bad_event_time": "the event's time can't be understood",
    "too_late": "the event is older than the source accepts",
    "too_early": "the event lies further in the future than the source accepts",
    "bad_value": "a value does not fit its column's type",
    REASON: "the person asked to be forgotten",
}
"""Why a line can't become an event."""

_END = "~end of line~"
_BROKEN = "~broken~"
_KEPT = "~kept~"
_ISO_TIME = (
    r"^\\d{4}-\\d{2}-\\d{2}[T ]\\d{2}:\\d{2}(:\\d{2}([.,]\\d{1,9})?)?"
    r"\\s?(Z|z|UTC|GMT|[+-]\\d{2}(:?\\d{2})?)?$"
)
_USUAL_TIME = r"^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}([.]\\d{1,9})?Z$"
"""Those of `_ISO_TIME` that a cast takes as they are."""
_JSON_OPTIONS = {
    "mode": "PERMISSIVE",
    "allowSingleQuotes": "false",
    "allowNonNumericNumbers": "false",
    "columnNameOfCorruptRecord": _BROKEN,
}


def parse(
    lines: DataFrame,
    source: Source,
    header: Sequence[str] = (),
    key: PiiKey | None = None,
    erased: Erased | None = None,
) -> DataFrame:
    """Decide every line.

    Args:
        lines: as `lines.read_text` gives them.
        source: how events are read from lines.
        header: names of the columns, for delimited text.
        key: that personal data are hashed by, for a source that hashes any.
        erased: persons whose lines become no events.

    Returns:
        The columns of an event (of the table and of the source), and `_outcome`, `_reason`,
        `_detail`, `_raw`, `_raw_bytes`: no column of a source begins with an underscore. Of a
        quarantined line only `source`, `dump_hour`, `file` and `line` are filled beside the last
        four. Of a source with a sequence also `_producer` and `_number`, both or neither, of every
        line that could be read. Of a source with personal data nothing raw is in any of them: `_raw`
        is then what `properties` would be, of a line that could be read whole. Where persons were erased
        it is empty of a line that could not be read: nobody knows whose that is.
    """
    from pyspark.sql import functions as F

    if source.hashes:
        if key is None:
            raise ValueError(f"{source.source} hashes personal data, and no key is given")
        lines = pii.with_key(lines, key)
    fields = _csv(lines, source, header) if source.format.type == "csv" else _json(lines, source)
    if source.pii:
        fields = _treated(fields, source)
    values = marked(_values(fields, source), erased, [f"v_{name}" for name in ID_COLUMNS])
    if source.sequence is not None:
        values = marked(values, erased, [_PRODUCER], PRODUCER_MARK)
    problem = _problem(values, source)
    judged = values.withColumn("problem", problem).withColumn(
        "outcome",
        F.expr(
            "case when is_header then 'header' when problem is null then 'event' "
            "else 'quarantined' end"
        ),
    )
    return judged.select(*_columns(source, any_erased=erased is not None))


def event_columns(source: Source) -> dict[str, str]:
    """Return the columns that a source's events have: name → Spark type."""
    base = {column.name: column.type for column in TABLE.columns}
    return {**base, **{name: column.type for name, column in source.columns.items()}}


def staged_schema(source: Source) -> str:
    """Return the schema of what `parse` gives, as DDL."""
    columns = {
        **event_columns(source),
        "_outcome": "string",
        "_reason": "string",
        "_detail": "string",
        "_raw": "string",
        "_raw_bytes": "binary",
        **({"_producer": "string", "_number": "bigint"} if source.sequence is not None else {}),
    }
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())


def _columns(source: Source, *, any_erased: bool) -> list[Column]:
    from pyspark.sql import functions as F

    always = {"dump_hour", "file", "line"}
    out: list[Column] = [F.lit(source.source).alias("source")]
    for name, kind in event_columns(source).items():
        if name == "source":
            continue
        if name == "dump_date":
            out.append(F.to_date("dump_hour").alias(name))
        elif name in always:
            out.append(F.col(name))
        else:
            value = f"v_{name}"
            out.append(F.expr(f"if(outcome = 'event', `{value}`, null)").cast(kind).alias(name))
    return [
        *out,
        F.col("outcome").alias("_outcome"),
        F.col("problem.reason").alias("_reason"),
        F.col("problem.detail").alias("_detail"),
        *(_kept(source, any_erased=any_erased)),
        *(_numbered() if source.sequence is not None else []),
    ]


def _kept(source: Source, *, any_erased: bool) -> list[Column]:
    """Return `_raw` and `_raw_bytes` of a quarantined line."""
    from pyspark.sql import functions as F

    bad = f"outcome = 'quarantined' and not `{MARK}`"
    if any_erased or source.pii:  # else text of persons of whom nothing is to be kept
        bad += " and is_whole and f is not null"
    text = f"if({bad}, make_valid_utf8(value), null)"
    data = f"if({bad} and not is_valid_utf8(value), cast(value as binary), null)"
    if source.pii:
        text, data = f"if({bad}, body, null)", "cast(null as binary)"
    return [F.expr(text).alias("_raw"), F.expr(data).alias("_raw_bytes")]


def _numbered() -> list[Column]:
    """Return `_producer` and `_number` of a line, both or neither.

    What was not read as a whole may have its values in other fields. A producer that is an erased person is
    nobody.
    """
    from pyspark.sql import functions as F

    number = "try_cast(cast(t__number as string) as bigint)"
    known = (
        f"is_whole and not is_header and length({_PRODUCER}) <= {_MAX_PRODUCER} "
        f"and {number} between 0 and {_MAX_NUMBER} and not `{PRODUCER_MARK}`"
    )
    return [
        F.expr(f"if({known}, {value}, null)").alias(name)
        for name, value in (("_producer", _PRODUCER), ("_number", number))
    ]


# -- the raw fields of a line -----------------------------------------------------------------------


def _json(lines: DataFrame, source: Source) -> DataFrame:
    """Add `f` (the fields wanted, as text), `is_whole` (one JSON value and no more), `is_header`.

    A line is parsed inside an object that ends in a member of ours: what closes a bracket too many hides
    that member. One without `]` is parsed as the only element of an array, which nothing but ours can end:
    so it is one object if the array has one element, and nothing of it was broken. Of others, what brings
    members of its own does not hide ours, and what Spark fails to read of a member it leaves out: they are
    also counted as the elements of an array.
    """
    from pyspark.sql import functions as F

    wanted = _struct(_tree(source.wanted()))
    readable = f"bytes <= {MAX_LINE_BYTES} and is_valid_utf8(value)"
    alone = f"{readable} and not contains(value, ']')"
    # A byte order mark at the start of a file is no part of its first line.
    clean = lines.withColumn("value", F.expr("if(line = 1, ltrim('\\uFEFF', value), value)"))
    as_element = _from_json(alone, "'[', value, ']'", f"array<{wanted}>", f", `{_BROKEN}` string")
    as_member = _from_json(readable, "value", wanted)
    is_object = f"p.`{_END}` = 1 and p.`{_BROKEN}` is null and size(p.v) = 1"
    return (
        clean.withColumn("p", F.expr(as_element))
        .withColumn("is_object", F.expr(f"coalesce({is_object}, false)"))
        .withColumn("q", F.expr(f"if(is_object, null, {as_member})"))
        .withColumn(
            "is_whole",
            F.expr(
                f"is_object or (q.`{_END}` is not null "
                "and coalesce(json_array_length(concat('[', value, ']')), 0) = 1)"
            ),
        )
        .withColumn("f", F.expr("if(is_object, get(p.v, 0), q.v)"))
        .withColumn("is_header", F.lit(False))
        .withColumn("body", F.expr(_trimmed("value")))
        .drop("p", "q", "is_object")
    )


def _from_json(which: str, value: str, kind: str, more: str = "") -> str:
    """Return the Spark SQL of an object with a value as `v` and our member behind it; NULL of other lines."""
    text = f"if({which}, concat('{{\"v\":', {value}, ',\"{_END}\":1}}'), null)"
    options = ", ".join(f"{_text(k)}, {_text(v)}" for k, v in _JSON_OPTIONS.items())
    return f"from_json({text}, {_text(f'v {kind}, `{_END}` int{more}')}, map({options}))"


def _trimmed(text: str) -> str:
    """Return the Spark SQL of a text without white space at its ends; Spark's trim copies the whole text."""
    ends = " or ".join(
        f"{side}({text}, '{each}')"
        for each in (" ", "\\t", "\\r")
        for side in ("startswith", "endswith")
    )
    return f"if({ends}, trim(both ' \\t\\r' from {text}), {text})"


def _csv(lines: DataFrame, source: Source, header: Sequence[str]) -> DataFrame:
    """Do the same for delimited text: `f` has a member a column; a row of another width has none."""
    from pyspark.sql import functions as F

    from tidegate.source import split_path

    # By place: a header may have empty names, or names that mean something to Spark.
    schema = ", ".join([*(f"c{at} string" for at in range(len(header))), f"`{_END}` string"])
    options = {
        "sep": source.format.delimiter,
        "quote": source.format.quote or "\u0000",
        "escape": source.format.quote or "\u0000",
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": _END,
        "maxCharsPerColumn": "-1",
        "maxColumns": str(_MAX_COLUMNS + 1),
    }
    flat = ", ".join(f"{_text(k)}, {_text(v)}" for k, v in options.items())
    has_header = source.format.header is True
    clean = lines.withColumn(
        "value", F.expr("if(line = 1, ltrim('\\uFEFF', value), value)")
    ).withColumn("is_header", F.expr("line = 1") if has_header else F.lit(False))
    separators = (
        f"octet_length(value) - octet_length(replace(value, {_text(source.format.delimiter)}))"
    )
    readable = (
        f"bytes <= {MAX_LINE_BYTES} and is_valid_utf8(value) "
        f"and (octet_length(value) < {_MAX_COLUMNS} or {separators} < {_MAX_COLUMNS})"
    )
    without_cr = "if(endswith(value, '\\r'), rtrim('\\r', value), value)"
    fields = {name or f"_c{at}": F.col(f"p.c{at}") for at, name in enumerate(header)}
    wanted = {split_path(path)[0] for path in source.wanted()}
    # What a file's header lacks, no line of it has a value for.
    for name in sorted(wanted):
        fields.setdefault(name, F.lit(None).cast("string"))
    if source.pii:  # nobody has said of the others whether they are personal
        fields = {name: column for name, column in fields.items() if name in wanted}
    return (
        clean.withColumn(
            "p",
            F.expr(f"from_csv(if({readable}, {without_cr}, null), {_text(schema)}, map({flat}))"),
        )
        .withColumn("is_whole", F.expr(f"p.`{_END}` is null and p is not null"))
        .withColumn("f", F.struct(*(column.alias(name) for name, column in fields.items())))
        .withColumn("body", F.to_json("f"))
        .drop("p")
    )


def _treated(fields: DataFrame, source: Source) -> DataFrame:
    """Treat the personal data of `f`, and let `body` hold what is left and nothing else of the line."""
    from pyspark.sql import functions as F

    tree = _tree(source.wanted())
    out = fields.withColumn("f", F.expr(pii.treated(source, tree)))
    if source.format.type == "csv":
        return out.withColumn("body", F.to_json("f")).drop(pii.INNER, pii.OUTER)
    return (
        out.withColumn(pii.WHOLE, F.expr("try_parse_json(if(is_whole, value, null))"))
        .withColumn("body", F.expr(pii.kept_json(source, tree)))
        .drop(pii.INNER, pii.OUTER, pii.WHOLE)
    )


def _tree(paths: Iterable[str]) -> dict[str, Any]:
    """Return the names of dotted paths, nested as the paths are."""
    from tidegate.source import split_path

    tree: dict[str, Any] = {}
    for path in sorted(paths):
        place = tree
        for part in split_path(path):
            place = place.setdefault(part, {})
    return tree


def _struct(tree: Mapping[str, Any]) -> str:
    members = ", ".join(
        f"{_quoted(name)}: {_struct(below) if below else 'string'}" for name, below in tree.items()
    )
    return f"struct<{members}>"


# -- the values of an event -------------------------------------------------------------------------


def _values(fields: DataFrame, source: Source) -> DataFrame:
    """Add a column `v_NAME` for every column of an event, and `t_…` for what was there as text.

    SQL expressions of the source file see the raw fields by their bare names, and the line as `raw`.
    """
    from pyspark.sql import functions as F

    from tidegate.source import RAW_LINE, split_path

    wanted = source.fields
    is_json = source.format.type == "json"
    sqls: dict[str, FieldRef] = {}
    texts: dict[str, Column] = {}

    def text(name: str, ref: FieldRef | None, *, exact: bool = False) -> None:
        if ref is None:
            texts[name] = F.lit(None).cast("string")
        elif ref.path is not None:
            path = ".".join(_quoted(part) for part in ref.names())
            texts[name] = F.col(f"f.{path}")
            if exact:
                texts[name] = F.expr(_exact(f"f.{path}", ref.names()))
        else:
            sqls[name] = ref

    text("event_id", wanted.event_id)
    text("event_time", wanted.event_time)
    text("event_type", wanted.event_type)
    text("user_id", wanted.user_id)
    text("anonymous_id", wanted.anonymous_id)
    text("source_session_id", source.sessions.id)
    if source.sequence is not None:
        text("_producer", source.sequence.producer)
        text("_number", source.sequence.number)
    for name, column in source.columns.items():
        text(name, column, exact=is_json and column.type.startswith("decimal"))

    out = fields
    if sqls:
        kept = F.struct(*(F.col(name) for name in out.columns)).alias(_KEPT)
        names = {split_path(path)[0] for path in source.references()} - {RAW_LINE}
        flat = out.select(
            kept,
            *(F.col(f"f.{_quoted(name)}").alias(name) for name in sorted(names)),
            (F.lit(None).cast("string") if source.pii else F.col("value")).alias(RAW_LINE),
        )
        out = flat.select(
            f"`{_KEPT}`.*",
            *(F.expr(str(ref.sql)).alias(f"t_{name}") for name, ref in sqls.items()),
        )
    for name, column_ in texts.items():
        out = out.withColumn(f"t_{name}", column_)

    out = out.withColumn("v_event_time", _time(wanted.event_time))
    # An empty id is no id: two visitors with an empty one are not the same visitor.
    for name in ("event_id", "user_id", "anonymous_id", "source_session_id"):
        out = out.withColumn(f"v_{name}", F.expr(f"nullif(trim(cast(t_{name} as string)), '')"))
    if wanted.event_id is None:
        out = out.withColumn(
            "v_event_id",
            F.expr(
                "left(sha2(to_json(array("
                f"{_text(source.source)}, date_format(dump_hour, 'yyyy-MM-dd HH'), file, "
                "cast(line as string))), 256), 32)"
            ),
        )
    out = out.withColumn("v_event_type", F.expr("cast(t_event_type as string)"))
    out = out.withColumn("v_user_key", F.expr("coalesce(v_user_id, v_anonymous_id)"))
    out = out.withColumn("v_properties", F.col("body"))
    for name, column in source.columns.items():
        out = out.withColumn(f"v_{name}", F.expr(_cast(f"`t_{name}`", column.type)))
    return out


def _exact(text: str, names: Sequence[str]) -> str:
    """Return the Spark SQL of a value's text with every digit that its number has.

    Spark reads a number with a fraction as a double on the way to text. Up to 15 digits that loses nothing;
    a longer one is read again as a variant, which keeps decimals.
    """
    path = pii.variant_path(tuple(names))
    if path is None:
        return text
    again = f"try_variant_get(try_parse_json(value), '{path}', 'string')"
    return f"if(length({text}) > 15, coalesce({again}, {text}), {text})"


def _time(ref: TimeRef) -> Column:
    from pyspark.sql import functions as F

    if ref.unit == "iso":
        return F.expr(iso_time("t_event_time"))
    micros = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}[ref.unit]
    # Decimal, not double: a time in seconds with a fraction keeps its microseconds.
    whole = f"try_cast(try_cast(t_event_time as decimal(30, 9)) * {micros} as bigint)"
    # Beyond the years 1 to 9999 other readers of the table fail on the value.
    return F.expr(
        f"timestamp_micros(if({whole} between -62135596800000000 and 253402300799999999, "
        f"{whole}, null))"
    )


def iso_time(value: str) -> str:
    """Return the Spark SQL that makes a UTC timestamp of ISO 8601 text, NULL for anything else.

    A plain cast would take `12:30` for today at that time. Text without a zone is UTC.
    """
    text = f"trim(cast({value} as string))"
    colon = f"regexp_replace({text}, '([+-]\\\\d{{2}})(\\\\d{{2}})$', '$1:$2')"
    seconds = f"regexp_replace({colon}, '^(.{{13}}:\\\\d{{2}})(?!:)', '$1:00')"
    upper = f"replace(replace({seconds}, ',', '.'), 'z', 'Z')"
    # Most times need no mending, and one regular expression costs less than four.
    return (
        f"case when {text} rlike '{_USUAL_TIME}' then try_cast({text} as timestamp) "
        f"when {text} rlike '{_ISO_TIME}' then try_cast({upper} as timestamp) end"
    )


def _cast(value: str, kind: str) -> str:
    """Return the Spark SQL of a value in its column's type; NULL where it does not fit."""
    if kind == "timestamp":
        return iso_time(value)
    if kind == "date":
        return (
            f"if(cast({value} as string) rlike '^\\\\d{{4}}-\\\\d{{2}}-\\\\d{{2}}$', "
            f"try_cast({value} as date), null)"
        )
    if kind.startswith("decimal"):
        # A cast rounds what has too many digits; that is not what the dump said. The widest decimal
        # with as many digits before the point shows it, unless the column's type is that one.
        precision, scale = map(int, kind[len("decimal(") : -1].split(","))
        wide = f"try_cast({value} as decimal(38, {38 - precision + scale}))"
        exact = f"try_cast({value} as {kind})"
        text = f"trim(cast({value} as string))"
        plain = f"rtrim('0', regexp_extract({text}, '^[+-]?\\\\d*[.](\\\\d*)$', 1))"
        kept = f"if({wide} = {exact} and length({plain}) <= {scale}, {exact}, null)"
        # What reads back as it was written lost nothing.
        return f"if(cast({exact} as string) = {value}, {exact}, {kept})"
    if kind in ("double", "float"):
        # A cast makes infinity of what is beyond the type, and takes a letter behind for a suffix.
        text = f"trim(cast({value} as string))"
        number = f"try_cast({value} as {kind})"
        finite = f"abs({number}) < try_cast('Infinity' as {kind})"
        return (
            f"if({text} rlike '^[+-]?(\\\\d+[.]?\\\\d*|[.]\\\\d+)([eE][+-]?\\\\d+)?$', "
            f"if({finite}, {number}, null), "
            f"if(lower({text}) rlike '^(nan|[+-]?inf(inity)?)$', {number}, null))"
        )
    return f"try_cast({value} as {kind})"


# -- why a line can't become an event ---------------------------------------------------------------


def _problem(values: DataFrame, source: Source) -> Column:  # noqa: ARG001
    """Return struct(reason, detail) of the first thing wrong with a line, NULL where nothing is."""
    from pyspark.sql import functions as F

    is_csv = source.format.type == "csv"
    late = int(source.accept.late.total_seconds())
    future = int(source.accept.future.total_seconds())
    shown = "left(cast({} as string), 100)"
    checks: list[tuple[str, str, str]] = [
        (f"`{MARK}` and is_whole", REASON, "cast(null as string)"),
        (
            f"bytes > {MAX_LINE_BYTES}",
            "too_long",
            f"concat('expected at most {MAX_LINE_BYTES} bytes, got ', bytes)",
        ),
        ("not is_valid_utf8(value)", "not_utf8", "'expected UTF-8'"),
        (f"{_trimmed('value')} = ''", "blank_line", "'expected an event'"),
    ]
    if is_csv:
        checks.append(
            ("not is_whole", "wrong_columns", "'expected as many columns as the header has'")
        )
    else:
        checks += [
            ("not is_whole", "not_json", "'expected one JSON object and nothing after it'"),
            ("f is null", "not_object", "'expected a JSON object'"),
        ]
    if source.fields.event_id is not None:
        checks.append(
            (
                "v_event_id is null",
                "missing_event_id",
                _where("no value at", source.fields.event_id),
            )
        )
    when = source.fields.event_time
    checks += [
        (
            "nullif(trim(cast(t_event_time as string)), '') is null",
            "missing_event_time",
            _where("no value at", when),
        ),
        (
            "v_event_time is null",
            "bad_event_time",
            f"concat('expected a time as {when.unit}, got ', {shown.format('t_event_time')})",
        ),
        (
            f"unix_micros(v_event_time) < unix_micros(dump_hour) - {late} * 1000000L",
            "too_late",
            f"concat('expected at most {late} s before the dump hour, got ', v_event_time)",
        ),
        (
            f"unix_micros(v_event_time) > unix_micros(dump_hour) + {3600 + future} * 1000000L",
            "too_early",
            f"concat('expected at most {future} s after the dump hour ends, got ', v_event_time)",
        ),
    ]
    for name, column in source.columns.items():
        got = shown.format(f"`t_{name}`")
        checks.append(
            (
                f"`t_{name}` is not null and `v_{name}` is null",
                "bad_value",
                f"concat('column {name}: expected {column.type}, got ', {got})",
            )
        )
    branches = " ".join(
        f"when {test} then named_struct('reason', '{reason}', 'detail', {detail})"
        for test, reason, detail in checks
    )
    return F.expr(f"case when is_header then null {branches} end")


def _where(text: str, ref: FieldRef) -> str:
    return _text(f"{text} {ref.path if ref.path is not None else ref.sql}")
