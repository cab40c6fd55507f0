"""Pictures of a page: inline SVG by matplotlib, in the page's own colours: light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

WIDTH = 5.4  # inches
LONGEST = 30  # characters of a name at an axis
# colours that nothing else has, and what the page puts in their place
INK, SOFT, ACCENT, OTHER, FAINT = "#010101", "#020202", "#030303", "#040404", "#050505"
THEME = {INK: "ink", SOFT: "soft", ACCENT: "accent", OTHER: "other", FAINT: "faint"}
LIGHT = {
    "paper": "#ffffff",
    "ink": "#1d2127",
    "soft": "#6b7280",
    "faint": "#d9dce1",
    "accent": "#2b62a8",
    "other": "#b4591a",
}
DARK = {
    "paper": "#15181c",
    "ink": "#e4e6ea",
    "soft": "#98a0ab",
    "faint": "#363c45",
    "accent": "#7fb0ee",
    "other": "#e59a5c",
}
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.parse_math": False,  # a $ in a label is a $
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.edgecolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "axes.axisbelow": True,
}
Point = tuple[float, float, float | None, float | None]  # x, value, low, high


def intervals(title: str, rows: Sequence[tuple[str, float, float | None, float | None, bool]]) -> str:
    """Values with their intervals (name, value, low, high, whether it is a baseline), in the order given."""

    def draw(axes: Any) -> None:
        names = [_short(name) for name, *_ in rows]
        for y, (_, value, low, high, baseline) in enumerate(rows):
            colour = OTHER if baseline else ACCENT
            if low is not None and high is not None:
                axes.plot([low, high], [y, y], color=colour, linewidth=1.4)
            axes.plot([value], [y], "s" if baseline else "o", color=colour, markersize=5)
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="x")

    return _svg(title, draw, 0.6 + 0.27 * len(rows))


def stacked(title: str, parts: Mapping[str, Sequence[int]], names: Sequence[str]) -> str:
    """Horizontal bars, one a name, that are the sum of up to three parts."""

    def draw(axes: Any) -> None:
        left = [0] * len(names)
        for (part, counts), colour in zip(parts.items(), (ACCENT, SOFT, FAINT), strict=False):
            axes.barh(range(len(names)), counts, left=left, color=colour, height=0.62, label=part)
            left = [a + b for a, b in zip(left, counts, strict=True)]
        axes.set_yticks(range(len(names)), [_short(name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel("rows")
        axes.xaxis.get_major_locator().set_params(integer=True)
        _legend(axes, len(parts))

    return _svg(title, draw, 1.0 + 0.27 * len(names))


def curves(title: str, series: Mapping[str, Sequence[Point]]) -> str:
    """One line a name over numbers of rows, with the band of its intervals."""

    def draw(axes: Any) -> None:
        styles = [(colour, line) for line in ("-", "--", ":") for colour in (ACCENT, OTHER, INK)]
        for (name, points), (colour, line) in zip(series.items(), styles, strict=False):
            xs, values = [p[0] for p in points], [p[1] for p in points]
            axes.plot(xs, values, line, color=colour, marker="o", markersize=3, label=_short(name))
            known = [(x, low, high) for x, _, low, high in points if low is not None and high is not None]
            if known:
                axes.fill_between(*zip(*known, strict=True), color=colour, alpha=0.15, linewidth=0)
        axes.set_xlabel("rows")
        axes.grid()
        _legend(axes, len(series))

    return _svg(title, draw, 2.9)


def heat(title: str, counts: Mapping[tuple[str, str], float], names: Sequence[str]) -> str:
    """A square of counts, (line, column) -> count, each line shaded by its shares."""

    def draw(axes: Any) -> None:
        from matplotlib.patches import Rectangle

        totals = {a: sum(n for (line, _), n in counts.items() if line == a) for a in names}
        for (a, b), n in counts.items():
            if not n:
                continue
            x, y, share = names.index(b), names.index(a), n / totals[a]
            colour = ACCENT if a == b else OTHER
            axes.add_patch(
                Rectangle((x - 0.5, y - 0.5), 1, 1, color=colour, alpha=0.15 + 0.7 * share, linewidth=0)
            )
            if len(names) <= 12:
                axes.text(x, y, f"{n:,.0f}", ha="center", va="center")
        ticks = [_short(name) for name in names]
        axes.set_xticks(range(len(names)), ticks, rotation=90 if len(names) > 3 else 0)
        axes.set_yticks(range(len(names)), ticks)
        axes.tick_params(labelsize=9 if len(names) <= 20 else 6, length=0)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("predicted")
        axes.set_ylabel("gold")

    return _svg(title, draw, min(5.6, 1.6 + 0.34 * len(names)))


def histogram(title: str, edges: Sequence[float], counts: Mapping[str, Sequence[int]]) -> str:
    """One outline a name, of counts between the edges."""

    def draw(axes: Any) -> None:
        for (name, values), colour in zip(counts.items(), (ACCENT, OTHER, INK), strict=False):
            axes.stairs(values, edges, color=colour, linewidth=1.4, label=_short(name))
        axes.set_xlabel("weight")
        axes.set_ylabel("rows")
        _legend(axes, len(counts))

    return _svg(title, draw, 2.4)


def alone(svg: str) -> str:
    """The picture as a data URL, dark on white: for where there is no page around it."""
    import base64

    for name, colour in LIGHT.items():
        svg = svg.replace(f"var(--{name})", colour)
    svg = svg.replace("<svg", f'<svg style="background: {LIGHT["paper"]}"', 1)
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _legend(axes: Any, columns: int) -> None:
    axes.legend(
        frameon=False, fontsize=8, ncols=min(3, columns), loc="lower left", bbox_to_anchor=(0, 1), borderpad=0
    )


def _short(name: str) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _svg(title: str, draw: Callable[[Any], None], height: float) -> str:
    from markupsafe import escape
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    out = io.StringIO()
    with rc_context({**SETTINGS, "svg.hashsalt": title}):  # the same picture is the same text
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=unsaid)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
    for colour, name in THEME.items():
        svg = svg.replace(colour, f"var(--{name})")
    mark = re.sub(r"\W+", "_", title)  # two pictures of a page may not share an id
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{mark}-", svg)
