"""The functions that expressions may use: DuckDB's, of one value at a time, and always the same for the same values.

What is not here is not allowed: functions that read the clock, a file, a setting or another row, that give another
value each time, whose order of results DuckDB leaves open (`list_distinct`), or that make texts and lists of any
length of a small number (`repeat`, `range`).
"""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
_OPERATORS = (
    # What operators are called in DuckDB's tree of an expression.
    "+", "-", "*", "/", "//", "%", "**", "^", "&", "|", "<<", ">>", "~", "@", "||", "^@",
    "~~", "!~~", "~~*", "!~~*", "~~~", "like_escape", "not_like_escape", "ilike_escape", "not_ilike_escape",
    "->", "->>", "list_value", "to_years", "to_months", "to_weeks", "to_days", "to_hours", "to_minutes",
    "to_seconds", "to_milliseconds", "to_microseconds",
)
_TEXTS = (
    "lower", "upper", "lcase", "ucase", "trim", "ltrim", "rtrim", "length", "len", "char_length",
    "character_length", "strlen", "bit_length", "contains", "starts_with", "ends_with", "prefix", "suffix",
    "substring", "substr", "left", "right", "lpad", "rpad", "replace", "translate", "reverse",
    "split_part", "string_split", "str_split", "string_split_regex", "str_split_regex", "string_to_array",
    "regexp_split_to_array", "regexp_matches", "regexp_full_match", "regexp_extract",
    "regexp_extract_all", "regexp_replace", "regexp_escape", "position", "strpos", "instr", "concat",
    "concat_ws", "ascii", "ord", "unicode", "chr", "strip_accents", "nfc_normalize", "printf", "format",
    "md5", "sha1", "sha256", "hex", "to_hex", "unhex", "from_hex", "base64", "to_base64", "from_base64",
    "encode", "decode", "url_encode", "url_decode",
)
_JSON = (
    "json", "json_valid", "json_type", "json_extract", "json_extract_string", "json_extract_path",
    "json_extract_path_text", "json_value", "json_exists", "json_contains", "json_keys", "json_array_length",
    "json_array", "json_object", "json_quote", "to_json",
)
_NUMBERS = (
    "abs", "round", "floor", "ceil", "ceiling", "trunc", "sign", "sqrt", "cbrt", "ln", "log2", "log10", "exp",
    "power", "pow", "mod", "gcd", "lcm", "bit_count", "greatest", "least", "isnan", "isinf", "isfinite",
    "ifnull", "nullif",
)
_TIMES = (
    "epoch", "epoch_ms", "epoch_us", "epoch_ns", "date_part", "datepart", "date_trunc", "datetrunc",
    "date_diff", "datediff", "date_sub", "datesub", "date_add", "year", "quarter", "month", "week", "weekofyear",
    "yearweek", "isoyear", "isodow", "day", "dayofmonth", "dayofyear", "dayname", "monthname", "hour", "minute",
    "second", "millisecond", "microsecond", "last_day", "make_date", "make_time", "make_timestamp",
    "make_timestamp_ms", "to_timestamp", "strftime", "strptime", "try_strptime", "timezone", "time_bucket",
)
_LISTS = (
    "list_extract", "list_element", "array_extract", "list_contains", "array_contains", "list_has", "array_has",
    "list_has_any", "list_has_all", "list_position", "list_indexof", "array_position", "list_slice",
    "array_slice", "list_concat", "array_concat", "list_append", "list_prepend", "list_sort", "array_sort",
    "list_reverse_sort", "list_reverse", "array_length", "array_to_string", "flatten", "list_min", "list_max",
    "list_sum", "list_count",
    "map", "map_contains", "map_extract", "map_extract_value", "element_at", "map_keys", "map_values",
    "cardinality", "struct_pack", "struct_extract", "row",
)
FUNCTIONS = frozenset([*_OPERATORS, *_TEXTS, *_JSON, *_NUMBERS, *_TIMES, *_LISTS])
"""Functions that expressions may use."""

LAMBDA_FUNCTIONS = frozenset(
    [
        "list_filter", "array_filter", "filter", "list_transform", "array_transform", "list_apply",
        "array_apply", "apply", "list_reduce", "array_reduce", "reduce",
    ]
)
"""Functions whose second argument is a lambda, for expressions that may have lambdas."""

CLOCK_NAMES = frozenset(
    [
        "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_user",
        "current_role", "session_user", "current_catalog", "current_schema",
    ]
)
"""Names that DuckDB takes for a function where there is no such column."""
# fmt: on

REPLACEMENTS: Mapping[str, str] = {
    "<=>": "a IS NOT DISTINCT FROM b",
    "aggregate": "list_reduce(list, lambda x, y: …)",
    "array_size": "len(list)",
    "array_join": "array_to_string(list, ',')",
    "bround": "round(number, digits)",
    "btrim": "trim(text)",
    "charindex": "instr(text, part)",
    "date_format": "strftime(time, '%Y-%m-%d')",
    "dayofweek": "isodow(date), which counts from Monday = 1",
    "exists": "list_has_any(…), or len(list_filter(list, lambda x: …)) > 0",
    "explode": "json_extract_string(text, '$[0]'): one line is one event",
    "forall": "len(list_filter(list, lambda x: NOT …)) = 0",
    "format_number": "format('{:.2f}', number)",
    "format_string": "printf('%s', value)",
    "from_json": "json_extract_string(text, '$.path')",
    "from_unixtime": "to_timestamp(seconds)",
    "from_utc_timestamp": "time AT TIME ZONE 'Europe/Berlin'",
    "get": "list_extract(list, 1), which counts from 1",
    "get_json_object": "json_extract_string(text, '$.path')",
    "initcap": "upper(left(text, 1)) || lower(substr(text, 2))",
    "isnotnull": "value IS NOT NULL",
    "isnull": "value IS NULL",
    "json_object_keys": "json_keys(text)",
    "json_tuple": "json_extract_string(text, '$.path')",
    "locate": "instr(text, part): the text comes first",
    "log": "ln(number) or log10(number)",
    "map_from_arrays": "map(keys, values)",
    "named_struct": "struct_pack(name := value)",
    "nanvl": "CASE WHEN isnan(number) THEN other ELSE number END",
    "nvl": "ifnull(value, other) or coalesce(value, other)",
    "nvl2": "CASE WHEN value IS NOT NULL THEN a ELSE b END",
    "octet_length": "strlen(text)",
    "parse_url": "regexp_extract(text, pattern, group)",
    "pmod": "mod(mod(a, b) + b, b)",
    "regexp": "regexp_matches(text, pattern)",
    "regexp_like": "regexp_matches(text, pattern)",
    "regexp_substr": "regexp_extract(text, pattern, 0)",
    "rlike": "regexp_matches(text, pattern)",
    "sha": "sha1(text)",
    "sha2": "sha256(text)",
    "shiftleft": "number << bits",
    "shiftright": "number >> bits",
    "size": "len(list)",
    "slice": "list_slice(list, first, last)",
    "sort_array": "list_sort(list)",
    "split": "string_split(text, part) for a plain text, string_split_regex(text, pattern) for a pattern",
    "startswith": "starts_with(text, part)",
    "endswith": "ends_with(text, part)",
    "struct": "struct_pack(name := value)",
    "substring_index": "split_part(text, part, number)",
    "timestamp_micros": "make_timestamp(microseconds)",
    "timestamp_millis": "make_timestamp_ms(milliseconds)",
    "timestamp_seconds": "to_timestamp(seconds)",
    "to_date": "strptime(text, '%d.%m.%Y')::DATE",
    "to_unix_timestamp": "epoch(time)",
    "to_utc_timestamp": "time AT TIME ZONE 'Europe/Berlin'",
    "transform": "list_transform(list, lambda x: …)",
    "try_element_at": "list_extract(list, 1)",
    "try_parse_json": "TRY(json(text))",
    "try_to_date": "try_strptime(text, '%d.%m.%Y')::DATE",
    "try_to_number": "TRY_CAST(text AS DECIMAL(18, 2))",
    "try_to_timestamp": "try_strptime(text, '%Y-%m-%d %H:%M:%S')",
    "unbase64": "from_base64(text)",
    "unix_micros": "epoch_us(time)",
    "unix_millis": "epoch_ms(time)",
    "unix_seconds": "epoch(time)",
    "unix_timestamp": "epoch(time)",
    "weekday": "isodow(date), which counts from Monday = 1",
}
"""What to write instead of functions that DuckDB lacks, or takes in another sense than Spark."""
