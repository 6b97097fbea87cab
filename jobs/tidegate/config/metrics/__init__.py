"""Metrics: one YAML file each in `dags/metrics/` that says what is counted, exactly.

```yaml
metric: revenue
kind: sum
description: What buyers paid.
owner: shop
source: shop
value: price
where: event_type = 'purchase'
interval: day
time_zone: Europe/Berlin
```

A metric is a saved query: its definition is compiled to a view `metrics.<name>` over the published tables of one
release, and travels with that release. So it is as right as the tables are, whatever came late or was corrected.
"""

from tidegate.config.metrics.check import metric_faults
from tidegate.config.metrics.load import (
    Read,
    canonical,
    from_canonical,
    load_metrics,
    parse_metric,
    readable_metrics,
)
from tidegate.config.metrics.model import KEYS, KINDS, Metric, Step
from tidegate.config.metrics.sql import compile_metric
from tidegate.config.metrics.views import broken_view, make_views

__all__ = [
    "KEYS",
    "KINDS",
    "Metric",
    "Read",
    "Step",
    "broken_view",
    "canonical",
    "compile_metric",
    "from_canonical",
    "load_metrics",
    "make_views",
    "metric_faults",
    "parse_metric",
    "readable_metrics",
]
