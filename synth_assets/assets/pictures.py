"""What a stage tells of its rows, as Dagster shows it: charts become small pictures inside Markdown."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from synth_assets.report import charts
from synth_assets.stages.stage import Chart, Markdown


def metadata(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as they are: Dagster plots them over partitions."""
    return {name: _shown(value) for name, value in numbers.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, Chart):
        return dg.MetadataValue.md(charts.markdown(*value))
    return dg.MetadataValue.md(value) if isinstance(value, Markdown) else value
