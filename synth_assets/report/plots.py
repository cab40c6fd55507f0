"""Charts as small PNGs inside Markdown, as the Dagster UI shows them."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from synth_assets.stages.stage import Table

INK, SOFT, ACCENT = "#30343b", "#9aa3af", "#3b6fb6"


def bars(title: str, counts: Mapping[str, float]) -> str:
    """Horizontal bars with their numbers, in the order given."""

    def draw(axes: Any) -> None:
        names = list(counts)[::-1]
        drawn = axes.barh(names, [counts[n] for n in names], color=ACCENT, height=0.6)
        axes.bar_label(drawn, fmt="%g", padding=3, color=INK)
        axes.margins(x=0.15)

    return _one(title, draw, height=0.9 + 0.32 * max(1, len(counts)))


def histogram(title: str, values: Mapping[str, Sequence[float]]) -> str:
    """One outlined histogram a name, on common bins."""

    def draw(axes: Any) -> None:
        known = {name: [v for v in vs if v is not None and v == v] for name, vs in values.items()}
        everything = [v for vs in known.values() for v in vs]
        if not everything:
            axes.text(0.5, 0.5, "no rows", ha="center", transform=axes.transAxes)
            return
        span = (min(everything), max(everything) + 1e-9)
        for name, vs in known.items():
            axes.hist(vs, bins=24, range=span, histtype="step", linewidth=1.6, label=f"{name} ({len(vs)})")
        axes.legend(frameon=False, fontsize=8)

    return _one(title, draw, height=2.6)


def panels(title: str, values: Mapping[str, Sequence[float]]) -> str:
    """One small histogram a name, each on its own axis, three a line."""
    lines = max(1, -(-len(values) // 3))

    def draw(figure: Any) -> None:
        grid = list(figure.subplots(lines, 3, squeeze=False).flat)
        for axes, (name, column) in zip(grid, values.items(), strict=False):
            axes.hist([v for v in column if v is not None and v == v], bins=20, color=ACCENT)
            axes.set_title(name, fontsize=8, color=INK)
            _quiet(axes)
        for axes in grid[len(values) :]:
            axes.axis("off")

    return _image(title, draw, height=1.7 * lines)


def intervals(title: str, rows: Table) -> str:
    """Values with their 95 % intervals (columns slice, value, low, high), in the order given."""

    def draw(axes: Any) -> None:
        known = rows[rows["value"].notna()].iloc[::-1]
        value, low, high = (known[c].astype(float) for c in ("value", "low", "high"))
        error = [(value - low).clip(lower=0), (high - value).clip(lower=0)]  # rounded, a bound may pass it
        axes.errorbar(value, known["slice"], xerr=error, fmt="o", color=ACCENT, capsize=3)
        for v, name in zip(value, known["slice"], strict=True):
            axes.annotate(
                f"{v:.3f}", (v, name), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8
            )
        axes.grid(axis="x", color=SOFT, alpha=0.3)
        axes.margins(y=0.12)

    return _one(title, draw, height=0.9 + 0.36 * max(1, len(rows)))


def _one(title: str, draw: Any, height: float) -> str:
    """A figure with one pair of axes."""

    def whole(figure: Any) -> None:
        axes = figure.add_subplot()
        draw(axes)
        axes.set_title(title, loc="left", fontsize=10, color=INK)
        _quiet(axes)

    return _image(title, whole, height)


def _quiet(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)


def _image(title: str, draw: Any, height: float) -> str:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")  # no pyplot: it keeps figures for ever
    FigureCanvasAgg(figure)
    draw(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    return f"![{title}](data:image/png;base64,{base64.b64encode(out.getvalue()).decode()})"
