"""Functions that users' SQL may call, and what replaces those that only Spark has."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tidegate.nearest import nearest

# fmt: off
FUNCTIONS = frozenset(
    [
        # What operators are called, then functions proper. All of them give for a row always the same.
        "+", "-", "*", "/", "//", "%", "||", "~~", "!~~", "~~*", "!~~*", "->>", "->", "@",
        "list_value", "date_part", "trunc", "to_years", "to_months", "to_weeks", "to_days",
        "to_hours", "to_minutes", "to_seconds", "to_milliseconds", "to_microseconds",
        "lower", "upper", "trim", "ltrim", "rtrim", "length", "contains", "starts_with",
        "ends_with", "prefix", "suffix", "substring", "substr", "left", "right", "replace",
        "split_part", "concat", "regexp_matches", "regexp_full_match", "regexp_extract",
        "json_extract", "json_extract_string", "abs", "round", "floor", "ceil", "ceiling", "sign",
        "sqrt", "ln", "log10", "exp", "power", "pow", "greatest", "least", "ifnull", "nullif", "isnan",
        "isfinite", "epoch", "epoch_ms", "date_diff", "datediff", "array_length", "len",
        "list_contains", "array_contains", "map_contains", "element_at", "cardinality",
    ]
)
"""Functions that expressions of metrics may use."""
ROW_FUNCTIONS = FUNCTIONS | frozenset(
    [
        "^", "**", "&", "|", "~", "<<", ">>", "~~~", "like_escape", "not_like_escape", "ilike_escape",
        "not_ilike_escape",
        # Text.
        "concat_ws", "instr", "strpos", "position", "lpad", "rpad", "repeat", "reverse", "translate",
        "regexp_replace", "regexp_extract_all", "string_split", "str_split", "string_to_array",
        "regexp_split_to_array", "ascii", "unicode", "chr", "md5", "sha256", "octet_length", "encode",
        "decode", "hex", "unhex", "levenshtein", "jaro_winkler_similarity", "strip_accents",
        "url_decode", "url_encode", "format", "printf",
        # Numbers.
        "mod", "log", "log2", "cbrt", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "pi",
        "radians", "degrees", "even", "isinf", "round_even", "xor",
        # Times.
        "date_trunc", "datetrunc", "date_sub", "datesub", "date_add", "year", "quarter", "month", "week",
        "day", "hour", "minute", "second", "dayofweek", "isodow", "dayofyear", "dayofmonth", "weekday",
        "dayname", "monthname", "last_day", "strftime", "strptime", "try_strptime", "make_date",
        "make_timestamp", "to_timestamp", "epoch_us", "time_bucket", "timezone",
        # Lists, maps, structs and JSON.
        "list_distinct", "list_unique", "list_sort", "list_min", "list_max", "list_sum", "list_avg",
        "list_has_any", "list_has_all", "list_position", "list_extract", "list_filter",
        "list_transform", "list_concat", "array_to_string", "range", "map",
        "map_concat", "map_from_entries", "map_keys", "map_values", "map_entries", "map_extract",
        "struct_pack", "struct_extract", "row", "json_valid", "json_type", "json_array_length",
        "json_keys", "json_exists", "json_contains", "typeof",
    ]
)
"""Functions that conditions and queries of suites may use beside aggregates."""
AGGREGATES = frozenset(
    [
        "count", "count_star", "count_if", "countif", "sum", "fsum", "min", "max", "avg", "mean",
        "median", "mode", "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop",
        "quantile", "quantile_cont", "quantile_disc", "bool_and", "bool_or", "any_value", "arg_min",
        "arg_max", "min_by", "max_by", "list", "array_agg", "string_agg", "group_concat",
        "approx_count_distinct", "bit_and", "bit_or", "bit_xor", "corr", "covar_pop", "covar_samp",
        "skewness", "kurtosis", "entropy", "mad", "histogram", "product", "unnest", "generate_subscripts",
    ]
)
"""Functions of several rows, or for them, that queries may use."""
WINDOWS = frozenset(
    [
        "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead",
        "first_value", "last_value", "nth_value",
    ]
)
"""Functions that stand before OVER only."""
SOURCES = frozenset(["unnest", "range", "generate_series"])
"""Functions that may stand after FROM."""
BARE_CLOCK = frozenset(
    ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"]
)
"""What reads the clock without parentheses, like a column."""
CLOCK = BARE_CLOCK | frozenset(
    ["today", "get_current_time", "get_current_timestamp", "now", "transaction_timestamp"]
)
"""What reads the clock."""
# fmt: on

SPARK_ONLY: Mapping[str, str] = {
    "approx_percentile": "quantile_cont(x, 0.5)",
    "array": "[x, y]",
    "array_distinct": "list_distinct(x)",
    "array_except": "list_filter(x, e -> NOT list_contains(y, e))",
    "array_join": "array_to_string(x, ',')",
    "array_max": "list_max(x)",
    "array_min": "list_min(x)",
    "array_position": "list_position(x, y)",
    "array_size": "len(x)",
    "array_sort": "list_sort(x)",
    "arrays_overlap": "list_has_any(x, y)",
    "bigint": "CAST(x AS BIGINT)",
    "bround": "round_even(x, 2)",
    "char_length": "length(x)",
    "character_length": "length(x)",
    "collect_list": "list(x)",
    "collect_set": "list(DISTINCT x)",
    "date_format": "strftime(x, '%Y-%m-%d')",
    "dateadd": "x + INTERVAL 1 DAY",
    "decimal": "CAST(x AS DECIMAL(10, 2))",
    "double": "CAST(x AS DOUBLE)",
    "endswith": "ends_with(x, y)",
    "every": "bool_and(x)",
    "exists": "len(list_filter(x, e -> e > 0)) > 0",
    "explode": "unnest(x)",
    "explode_outer": "unnest(x)",
    "filter": "list_filter(x, e -> e > 0)",
    "find_in_set": "list_position(string_split(y, ','), x)",
    "first": "any_value(x)",
    "flatten": "unnest(x)",
    "float": "CAST(x AS FLOAT)",
    "forall": "len(list_filter(x, e -> e > 0)) = len(x)",
    "from_json": "json_extract(x, '$.a')",
    "from_unixtime": "to_timestamp(x)",
    "from_utc_timestamp": "timezone('Europe/Paris', x)",
    "get": "x[1]",
    "get_json_object": "json_extract_string(x, '$.a')",
    "int": "CAST(x AS INTEGER)",
    "isnotnull": "x IS NOT NULL",
    "isnull": "x IS NULL",
    "last": "arg_max(x, y)",
    "locate": "instr(y, x)",
    "make_interval": "INTERVAL 1 HOUR",
    "map_contains_key": "map_contains(x, y)",
    "map_from_arrays": "map(x, y)",
    "named_struct": "{'a': x}",
    "nvl": "coalesce(x, y)",
    "nvl2": "CASE WHEN x IS NOT NULL THEN y ELSE z END",
    "percentile": "quantile_cont(x, 0.5)",
    "percentile_approx": "quantile_disc(x, 0.5)",
    "pmod": "((x % y) + y) % y",
    "posexplode": "unnest(x)",
    "regexp": "regexp_matches(x, 'pattern')",
    "regexp_like": "regexp_matches(x, 'pattern')",
    "rlike": "regexp_matches(x, 'pattern')",
    "sequence": "range(x, y)",
    "sha2": "sha256(x)",
    "size": "len(x), and cardinality(x) of a map",
    "slice": "x[1:2]",
    "smallint": "CAST(x AS SMALLINT)",
    "some": "bool_or(x)",
    "sort_array": "list_sort(x)",
    "split": "string_split(x, ',')",
    "startswith": "starts_with(x, y)",
    "string": "CAST(x AS VARCHAR)",
    "struct": "{'a': x}",
    "substring_index": "split_part(x, ',', 1)",
    "timestamp": "CAST(x AS TIMESTAMPTZ)",
    "timestamp_micros": "make_timestamp(x)",
    "timestamp_millis": "make_timestamp(x * 1000)",
    "timestamp_seconds": "to_timestamp(x)",
    "tinyint": "CAST(x AS TINYINT)",
    "to_date": "CAST(x AS DATE)",
    "to_json": "CAST(x AS JSON)",
    "to_unix_timestamp": "epoch(x)",
    "transform": "list_transform(x, e -> e + 1)",
    "try_divide": "x / nullif(y, 0)",
    "try_element_at": "x['key']",
    "try_to_timestamp": "TRY_CAST(x AS TIMESTAMPTZ)",
    "unix_date": "date_diff('day', DATE '1970-01-01', x)",
    "unix_micros": "epoch_us(x)",
    "unix_millis": "epoch_ms(x)",
    "unix_seconds": "CAST(floor(epoch(x)) AS BIGINT)",
    "unix_timestamp": "epoch(x)",
    "weekofyear": "week(x)",
    "xxhash64": "sha256(x)",
}
"""Functions of Spark that DuckDB lacks or that mean something else there: what to write instead."""


def clock_fault(name: str) -> str:
    """Return why something that reads the clock is not allowed."""
    return f"{name} is not allowed: the answer would depend on the clock"


def function_fault(name: str, allowed: Collection[str], why: str) -> str:
    """Return why a function that is not allowed is not, and what to write instead where that is known.

    Args:
        name: the function.
        allowed: those that are.
        why: the rule that it breaks.
    """
    if name in CLOCK:
        return clock_fault(f"{name}()")
    if (instead := SPARK_ONLY.get(name)) is not None:
        return f"{name}() is a function of Spark: in DuckDB's SQL, write {instead}"
    near = nearest(name, allowed)
    return f"{name}() is not allowed: {why}" + (f"; did you mean '{near}'?" if near else "")
