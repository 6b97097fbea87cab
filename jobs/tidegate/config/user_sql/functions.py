"""Functions that users' SQL may call, all of them DuckDB's.

Scalar functions take one value at a time and give always the same for the same values. What is not here is not
allowed: functions that read the clock, a file, a setting or another row, and those that give another value each time.
"""

from __future__ import annotations

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
    "encode", "decode", "url_encode", "url_decode", "levenshtein", "jaro_winkler_similarity",
)
_JSON = (
    "json", "json_valid", "json_type", "json_extract", "json_extract_string", "json_extract_path",
    "json_extract_path_text", "json_value", "json_exists", "json_contains", "json_keys", "json_array_length",
    "json_array", "json_object", "json_quote", "to_json",
)
_NUMBERS = (
    "abs", "round", "round_even", "even", "floor", "ceil", "ceiling", "trunc", "sign", "sqrt", "cbrt", "ln",
    "log2", "log10", "exp", "power", "pow", "mod", "gcd", "lcm", "xor", "bit_count", "greatest", "least",
    "isnan", "isinf", "isfinite", "ifnull", "nullif", "pi", "radians", "degrees", "sin", "cos", "tan", "asin",
    "acos", "atan", "atan2",
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
    "list_reverse_sort", "list_reverse", "list_unique", "array_length", "array_to_string", "flatten", "list_min",
    "list_max", "list_sum", "list_avg", "list_count",
    "map", "map_contains", "map_concat", "map_entries", "map_extract", "map_extract_value", "map_from_entries",
    "element_at", "map_keys", "map_values", "cardinality", "struct_pack", "struct_extract", "row",
)
SCALARS = frozenset([*_OPERATORS, *_TEXTS, *_JSON, *_NUMBERS, *_TIMES, *_LISTS])
"""Functions of one value at a time. Every kind of SQL may call them."""
SUITE_SCALARS = frozenset(["list_distinct", "range", "repeat", "typeof", "octet_length"])
"""Functions that only suites may call, since nothing is stored of what they give.

DuckDB leaves open the order of `list_distinct`. `range` and `repeat` make values of any length of a small number. What
`typeof` gives depends on how a table is read. `octet_length` takes bytes, which only tables have.
"""
LAMBDA_FUNCTIONS = frozenset(
    [
        "list_filter", "array_filter", "filter", "list_transform", "array_transform", "list_apply",
        "array_apply", "apply", "list_reduce", "array_reduce", "reduce",
    ]
)
"""Functions whose second argument is a lambda."""
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
"""Functions of several rows, or that make several rows. Only queries may call them."""
WINDOWS = frozenset(
    [
        "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead",
        "first_value", "last_value", "nth_value",
    ]
)
"""Functions that stand before OVER only."""
TABLE_FUNCTIONS = frozenset(["unnest", "range", "generate_series"])
"""Functions that may stand after FROM."""
CLOCK_NAMES = frozenset(
    ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"]
)
"""Names that read the clock without parentheses, where there is no such column."""
CLOCK_FUNCTIONS = CLOCK_NAMES | frozenset(
    ["today", "get_current_time", "get_current_timestamp", "now", "transaction_timestamp"]
)
"""Functions that read the clock."""
CLOCK_WITHOUT_ARGUMENTS = frozenset(["unix_timestamp"])
"""Functions of Spark that read the clock if they have no argument."""
SETTING_NAMES = frozenset(
    ["current_user", "current_role", "session_user", "current_catalog", "current_schema"]
)
"""Names that read a setting without parentheses, where there is no such column."""
# fmt: on
