"""Knowledge: how much of what rows can be asked for with was used, over all rounds."""

from __future__ import annotations

from collections.abc import Iterator

from synth_assets.contracts.measure import Look, Metric, Row


class Knowledge(Metric):
    """The share of lines, pieces, leaves, triples or rows that rows of all rounds so far were asked for with,
    and the share that kept rows have."""

    name = "knowledge"

    wanted: bool = True

    def measure(self, look: Look) -> Iterator[Row]:
        """Two lines a condition. They count what there is: no interval."""
        for condition, share in look.knowledge().items():
            yield Row("knowledge_used", condition, share.used / share.items, n=share.items)
            yield Row("knowledge_kept", condition, share.kept / share.items, n=share.items)
