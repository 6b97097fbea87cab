"""Texts and numbers for a column of every type, and ids of every kind of JSON value."""

# ruff: noqa: RUF001, SIM905 (odd characters are the point, and split() reads better here)

from __future__ import annotations

import json
import re

from corpus.model import event
from corpus.sources import TYPED

TEXTS = [
    *(
        "|0|-0|+0|1|+1|-1| 1|1 |\t1|1\r|1\n|1\u00a0|\u30001|1\u0000|--1|+-1|01|007|00|-007".split(
            "|"
        )
    ),
    *(
        "1.|.5|-.5|+.5|1.0|1.5|-1.5|1.50|1.005|120.0|120.00|120.5|1e2|1E2|1e+2|1.2e2|1.25e1".split(
            "|"
        )
    ),
    *(
        "12e-1|120e-1|1e-7|1.e2|.1e1|1e|e1|1e2.0|1 e2|1e 2|1e400|-1e400|1e-400|1e39|3.4e38".split(
            "|"
        )
    ),
    *("3.4028234663852886e38|3.4028236e38|1e-46|1.4e-45|1.7976931348623157e308".split("|")),
    *("1.7976931348623159e308|4.9e-324|2e-324|2147483647|2147483648|-2147483648".split("|")),
    *("-2147483649|2147483647.0|2.147483647e9|9223372036854775807|9223372036854775808".split("|")),
    *(
        "-9223372036854775808|-9223372036854775809|9223372036854775807.0|9.2e18|1e18|1e19".split(
            "|"
        )
    ),
    *("9007199254740993|9007199254740993.0|0.1|0.2|0.3|0.30000000000000004|16777217".split("|")),
    "123456789012345678901234567890",
    "12345678901234567890123456789012345678",
    "123456789012345678901234567890123456789",
    "1234567890123456789012345678901234567890",
    "123456789012345678901234567890123456.78",
    "123456789012345678901234567890123456.789",
    "1234567890123456789.01",
    "1234567890123456789.012",
    "0.12345678901234567890",
    "0.123456789012345678901",
    "123456789012345678.12345678901234567890",
    "0.1234567890123456789012345678901234567890",
    "0." + "0" * 30 + "1",
    "1." + "0" * 50,
    "0" * 50 + "1",
    "1" + "0" * 37,
    "1e37",
    "1e38",
    "1005e-3",
    "1000e-3",
    *(
        "9999.99|9999.994|9999.995|9999.999|-9999.99|10000|10000.00|0.005|0.0050|0.010|1.5000".split(
            "|"
        )
    ),
    *(
        "1,5|1_000|1,000|1'000|1 000|0x10|0X1F|0b1|0o7|#10|1f|1F|1d|1D|1L|1l|1s|1y|1n|1BD".split(
            "|"
        )
    ),
    *(
        "NaN|nan|NAN|-NaN|Infinity|-Infinity|+Infinity|infinity|inf|-inf|+inf|INF|Inf|∞|1.#INF".split(
            "|"
        )
    ),
    *("٣|１|½|１２|१|ⅷ|²".split("|")),
    *("true|TRUE|True|tRuE|false|FALSE|False|t|T|f|F|y|Y|n|N|yes|Yes|no|on|off|ON|OFF".split("|")),
    *(" true|true |truely|2|-1.0|ja|x|null|NULL|None|undefined|\\N|-|many|🌊|\u0000".split("|")),
    *(
        "2024-02-29|2023-02-29|2024-2-9|2024-02-9|2024-2-09|2024-02-30|2024-13-01|2024-00-10".split(
            "|"
        )
    ),
    *(
        "2024-01-00|2024-02|2024|20240229|2024/02/29|29.02.2024|02/29/2024|2024-060|2024-W09-4".split(
            "|"
        )
    ),
    *(
        " 2024-02-29|2024-02-29 |2024-02-29Z|+2024-02-29|-2024-02-29|12024-02-29|0000-01-01".split(
            "|"
        )
    ),
    *("0001-01-01|9999-12-31|10000-01-01|1582-10-04|1582-10-10|1582-10-15|1900-02-29".split("|")),
    *("2000-02-29|1969-12-31|1970-01-01|2024-02-29T00:00:00Z|2024-02-29T10:00:00".split("|")),
    *("2024-02-29 10:00|2024-02-29T23:59:59.999999999+14:00|2024-02-29T23:59:60Z".split("|")),
    *("2024-02-29T24:00:00Z|12:30|T12:30:00Z|today|now|epoch|tomorrow|yesterday".split("|")),
    *("1709164800|1709164800000|1709164800.5".split("|")),
    "x" * 2000,
    "9" * 2000,
]

KINDS = [
    *(
        'true|false|null|{}|[]|{"a":1}|{"a": {"b": [1, 2.50]}}|[1]|[1, "x", null]|[[]]|""|" "'.split(
            "|"
        )
    ),
    *('"\\u0031"|"\\t1"|"1\\n"|"\\u00a01"|"\\ud800"|"\\u0000"'.split("|")),
]

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def value_lines() -> list[str]:
    """Return a line for every column of `TYPED` and every text, as text and, where it is one, as number."""
    tokens = [json.dumps(text, ensure_ascii=False) for text in TEXTS]
    numbers = [text for text in TEXTS if _NUMBER.fullmatch(text)]
    return [
        event(f'"{column}":{token}')
        for column in TYPED
        for token in dict.fromkeys([*tokens, *numbers, *KINDS])
    ]


IDS = [
    *(
        '"1"|"a"|"A"|"ä"|"a\\u0308"|"🌊"|" x "|" x"|"x "|"\\tx"|"x\\n"|"\\u00a0x"|"\\u2003x"'.split(
            "|"
        )
    ),
    *(
        '""|" "|"\\t"|"\\u00a0"|"\\u3000"|"\\u200b"|"\\ufeff"|"\\u0000"|"a\\u0000b"|"\\u0001"'.split(
            "|"
        )
    ),
    *(
        '"\\ud800"|"\\ud801"|"\\udc00"|"a\\ud800b"|"a\\ud801b"|"?"|"a?b"|"\\ufffd"|"\\ud83c\\udf0a"'.split(
            "|"
        )
    ),
    *(
        '"\\u2028"|"\\u2029"|"\\u0085"|"\\""|"\\\\"|"\\/"|"/"|"\\u0041"|"\'"|"\\b\\f\\n\\r\\t"'.split(
            "|"
        )
    ),
    *("0|-0|0.0|1|1.0|1.00|1e0|1E0|10e-1|17|-17|1.5|1.50|1e2|100|1e400|1e401|-1e400".split("|")),
    *("9007199254740992|9007199254740993|9007199254740992.0|9007199254740993.0".split("|")),
    *(
        "9223372036854775807|9223372036854775808|18446744073709551616|18446744073709551617".split(
            "|"
        )
    ),
    "123456789012345678901234567890",
    "1234567890123456789012345678901234567890",
    "1234567890123456789012345678901234567891",
    "1234567890123456789012345678901234567890.5",
    "0.1234567890123456789012345678901234567890",
    "0.1234567890123456789012345678901234567891",
    "1e-400",
    *(
        'true|false|null|{}|[]|{"id":"u"}|{"id": "u"}|{"a":1}|[1]|["u"]|[{"id":"u"}]|[null]|[[]]'.split(
            "|"
        )
    ),
    *(
        '"null"|"NULL"|"undefined"|"None"|"nil"|"[object Object]"|"\\\\N"|"NaN"|"0"|"-1"|"-"'.split(
            "|"
        )
    ),
    '"00000000-0000-0000-0000-000000000000"',
    '"00000000-0000-0000-0000-000000000001"',
    '"true"',
    '"[]"',
    '"{}"',
    '"1.0"',
    '"1e0"',
    json.dumps("x" * 255),
    json.dumps("x" * 256),
    json.dumps("x" * 257),
    json.dumps("x" * 10_000),
    json.dumps("x" * 9_999 + "y"),
]


def id_lines() -> list[str]:
    """Return lines in which each id is of every kind: of the event, the user, the device and so on."""
    at = '"at":"2024-03-01T12:00:01Z"'
    lines = [f"{{{at}}}", "{}"]
    for token in IDS:
        lines += [
            f'{{"id":{token},{at}}}',
            event(f'"user":{{"id":{token}}}'),
            event(f'"user":{{"id":{token}}},"anon":"a"'),
            event(f'"user":{token}'),
            event(f'"user":{token},"anon":"a"'),
            event(f'"anon":{token}'),
            event(f'"type":{token}'),
            event(f'"visit":{token}'),
            event(f'"host":{token},"seq":1'),
            event(f'"host":"h","seq":{token}'),
            event(f'"a":{{"b":{{"c":{token}}}}}'),
        ]
    lines += [event(f'"host":"h","seq":{number}') for number in SEQUENCE_NUMBERS]
    return lines


SEQUENCE_NUMBERS = [
    *("0 1 -1 1.0 1.5 1e2 9223372036854775805 9223372036854775806 9223372036854775807".split()),
    *("9223372036854775808 100000000000000000000".split()),
    *('"7"|" 7 "|"+7"|"07"|"7.0"|"x"|""'.split("|")),
]


def flat_id_lines() -> list[str]:
    """Return lines for a source whose user is a member at the top, and not within an object."""
    return [
        line
        for token in IDS
        for line in (event(f'"user":{token}'), event(f'"user":{token},"anon":"a"'))
    ]
