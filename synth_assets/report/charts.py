"""All pictures, by matplotlib: a function draws values onto a figure and returns its height in inches.

`svg` prints it in a page's own colours, light or dark; `png` and `markdown` dark on white. Letters that the
usual font lacks are taken from another one of the machine; where none has them, their codes are written.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any

WIDTH = 5.4  # inches
LONGEST = 30  # characters of a name at an axis
BOXES = "Last Resort"  # a font of matplotlib that has all characters, as boxes
COLOURS = ("paper", "ink", "soft", "faint", "accent", "other")
LIGHT = dict(zip(COLOURS, ["#ffffff", "#1d2127", "#6b7280", "#d9dce1", "#2b62a8", "#b4591a"], strict=True))
DARK = dict(zip(COLOURS, ["#15181c", "#e4e6ea", "#98a0ab", "#363c45", "#7fb0ee", "#e59a5c"], strict=True))
_, INK, SOFT, FAINT, ACCENT, OTHER = LIGHT.values()
SETTINGS: dict[Any, Any] = {
    **{"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"], "font.size": 9},
    "text.parse_math": False,  # a $ in a label is a $
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    **{"axes.edgecolor": SOFT, "axes.spines.top": False, "axes.spines.right": False},
    **{"grid.color": FAINT, "axes.axisbelow": True},
}
Point = tuple[float, float, float | None, float | None]  # x, value, low, high
Drawing = Callable[[Any], float]  # one of the functions below with its values: figure -> inches


def intervals(rows: Sequence[tuple[Any, ...]], figure: Any, numbered: bool = False) -> float:
    """Values with their intervals (name, value, low, high, whether it is a baseline), in the order given, and
    `numbered`, where no table stands beside them."""
    axes = figure.subplots()
    for y, (_, value, low, high, *baseline) in enumerate(rows):
        colour = OTHER if any(baseline) else ACCENT
        if low is not None and high is not None:
            axes.plot([low, high], [y, y], color=colour, linewidth=1.4)
        axes.plot([value], [y], "s" if any(baseline) else "o", color=colour, markersize=5)
        if numbered:
            above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "fontsize": 8}
            axes.annotate(f"{value:.3f}", (value, y), **above)
    _name_lines(axes, [name for name, *_ in rows])
    axes.grid(axis="x")
    return 0.6 + (0.36 if numbered else 0.27) * len(rows)


def bars(counts: Mapping[str, float], figure: Any) -> float:
    """Horizontal bars with their numbers, in the order given."""
    axes = figure.subplots()
    drawn = axes.barh(range(len(counts)), list(counts.values()), color=ACCENT, height=0.62)
    axes.bar_label(drawn, fmt="%g", padding=3)
    _name_lines(axes, list(counts))
    axes.margins(x=0.15)
    return 0.6 + 0.32 * max(1, len(counts))


def stacked(parts: Mapping[str, Sequence[int]], names: Sequence[str], figure: Any) -> float:
    """Horizontal bars, one a name, that are the sum of up to three parts."""
    axes = figure.subplots()
    left = [0] * len(names)
    for (part, counts), colour in zip(parts.items(), (ACCENT, SOFT, FAINT), strict=False):
        axes.barh(range(len(names)), counts, left=left, color=colour, height=0.62, label=part)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    _name_lines(axes, names)
    axes.set_xlabel("rows")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(axes)
    return 1.0 + 0.27 * len(names)


def curves(series: Mapping[str, Sequence[Point]], figure: Any) -> float:
    """One line a name over numbers of rows, with the band of its intervals."""
    axes = figure.subplots()
    styles = [(colour, line) for line in ("-", "--", ":") for colour in (ACCENT, OTHER, INK)]
    for (name, points), (colour, line) in zip(series.items(), styles, strict=False):
        xs, values, *_ = zip(*points, strict=True)
        axes.plot(xs, values, line, color=colour, marker="o", markersize=3, label=_short(name))
        known = [(x, low, high) for x, _, low, high in points if low is not None and high is not None]
        if known:
            axes.fill_between(*zip(*known, strict=True), color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("rows")
    axes.grid()
    _legend(axes)
    return 2.9


def heat(counts: Mapping[tuple[str, str], float], names: Sequence[str], figure: Any) -> float:
    """A square of counts, (line, column) -> count, each line shaded by its shares."""
    from matplotlib.patches import Rectangle

    axes = figure.subplots()
    totals = {a: sum(n for (line, _), n in counts.items() if line == a) for a in names}
    for (a, b), n in counts.items():
        if not n:
            continue
        x, y, shade = names.index(b), names.index(a), 0.15 + 0.7 * n / totals[a]
        colour = ACCENT if a == b else OTHER
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=colour, alpha=shade, linewidth=0))
        if len(names) <= 12:
            axes.text(x, y, f"{n:,.0f}", ha="center", va="center")
    ticks = [_short(name) for name in names]
    axes.set_xticks(range(len(names)), ticks, rotation=90 if len(names) > 3 else 0)
    axes.set_yticks(range(len(names)), ticks)
    axes.tick_params(labelsize=9 if len(names) <= 20 else 6, length=0)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), xlabel="predicted", ylabel="gold")
    return min(5.6, 1.6 + 0.34 * len(names))


def outlines(edges: Sequence[float], counts: Mapping[str, Sequence[int]], of: str, figure: Any) -> float:
    """One outline a name, of counts between the edges; `of` names the values."""
    axes = figure.subplots()
    for (name, values), colour in zip(counts.items(), (ACCENT, OTHER, INK, SOFT), strict=False):
        axes.stairs(values, edges, color=colour, linewidth=1.4, label=_short(name))
    axes.set(xlabel=of, ylabel="rows")
    _legend(axes)
    return 2.4


def histogram(values: Mapping[str, Sequence[float]], figure: Any) -> float:
    """One outline a name, on common bins."""
    import numpy as np

    known = {name: [v for v in vs if v is not None and v == v] for name, vs in values.items()}
    everything = [v for vs in known.values() for v in vs] or [0]
    edges = np.linspace(min(everything), max(everything) + 1e-9, 25).tolist()
    counts = {f"{name} ({len(vs)})": np.histogram(vs, edges)[0].tolist() for name, vs in known.items()}
    return outlines(edges, counts, "", figure)


def panels(values: Mapping[str, Sequence[float]], figure: Any) -> float:
    """One small histogram a name, each on its own axis, three a line."""
    lines = max(1, -(-len(values) // 3))
    for i, (name, column) in enumerate(values.items(), 1):
        part = figure.add_subplot(lines, 3, i)
        part.hist([v for v in column if v is not None and v == v], bins=20, color=ACCENT)
        part.set_title(name, fontsize=8)
    return 1.7 * lines


def places(series: Mapping[str, Sequence[tuple[float, float]]], figure: Any) -> float:
    """Points of up to four kinds, the last one as rings. The axes mean nothing, and are not drawn."""
    axes = figure.subplots()
    styles: list[dict[str, Any]] = [
        {"marker": "o", "markersize": 3.5, "color": SOFT, "alpha": 0.8},
        {"marker": "o", "markersize": 4, "color": ACCENT, "alpha": 0.75},
        {"marker": "s", "markersize": 4, "color": OTHER, "alpha": 0.9},
        {"marker": "o", "markersize": 9, "color": "none", "markeredgecolor": INK, "markeredgewidth": 0.9},
    ]
    for (name, points), style in zip(series.items(), styles, strict=False):
        at = {"linestyle": "none", "markeredgewidth": 0, "clip_on": False, **style}
        axes.plot([x for x, _ in points], [y for _, y in points], label=f"{name} ({len(points):,})", **at)
    axes.set_axis_off()
    axes.set_aspect("equal", "datalim")
    _legend(axes, 2)
    return 4.8


def sweep(points: Sequence[Any], figure: Any) -> float:
    """Rows kept and accuracy over the thresholds of a filter (commands.tune.Point)."""
    above, below = figure.subplots(2, 1, sharex=True)
    kept = [float("nan") if p.kept is None else p.kept for p in points]
    above.plot([p.threshold for p in points], kept, marker="o", color=ACCENT)
    above.set(ylabel="rows kept", ylim=(0, None))
    for at, value, low, high in [(p.threshold, *p.accuracy) for p in points if p.accuracy]:
        below.errorbar(at, value, [[value - low], [high - value]], marker="o", color=ACCENT, capsize=3)
    below.set(xlabel="threshold", ylabel="validation accuracy")
    for axes, p in ((axes, p) for p in points if p.current for axes in (above, below)):
        axes.axvline(p.threshold, color=SOFT, linestyle=":", zorder=0)
    return 4.2


def front(values: Mapping[str, Sequence[tuple[str, float, float, float, float, bool]]], figure: Any) -> float:
    """What costs how much and is worth what: under the name of the cost, points (name, cost, value, low,
    high, whether no other one beats it). Those that none beats are joined, the first and the last of them
    named."""
    ((of, points),) = values.items()
    axes = figure.subplots()
    for _, cost, value, low, high, best in points:
        colour = ACCENT if best else SOFT
        axes.plot([cost, cost], [low, high], color=colour, linewidth=1, alpha=0.5)
        axes.plot([cost], [value], "o", color=colour, markersize=4)
    kept = [point for point in points if point[-1]]
    axes.plot(
        [cost for _, cost, *_ in kept], [value for _, _, value, *_ in kept], color=ACCENT, linewidth=1.4
    )
    for name, cost, value, *_ in dict.fromkeys([*kept[:1], *kept[-1:]]):
        above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "fontsize": 8}
        axes.annotate(_short(name), (cost, value), **above)
    axes.set_xlabel(of)
    axes.margins(x=0.12, y=0.15)
    axes.grid()
    return 2.9


OF_STAGES: dict[str, Callable[..., float]] = {
    **{"bars": bars, "histogram": histogram, "panels": panels, "places": places, "front": front},
    "intervals": partial(intervals, numbered=True),
}


def svg(title: str, drawing: Drawing, hover: Sequence[str] = ()) -> str:
    """The drawing as an element of a page; the same drawing is the same text. `hover`: what is said of each
    point under the mouse, of `places`, whose points are the first marks."""
    from markupsafe import escape

    unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    drawn = _saved(drawing, "svg", hashsalt=title, transparent=True, metadata=unsaid).decode()
    drawn = drawn[drawn.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
    for name, colour in LIGHT.items():
        drawn = drawn.replace(colour, f"var(--{name})")
    first, *marks = drawn.split("<use ")
    for i, words in enumerate(hover):
        marks[i] = marks[i].replace("/>", f"><title>{escape(words)}</title></use>", 1)
    drawn = "<use ".join([first, *marks])
    mark = re.sub(r"\W+", "_", title)  # two pictures of a page may not share an id
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{mark}-", drawn)


def alone(svg: str) -> str:
    """The picture of a page as a data URL, dark on white: for where there is no page around it."""
    for name, colour in LIGHT.items():
        svg = svg.replace(f"var(--{name})", colour)
    svg = svg.replace("<svg", f'<svg style="background: {LIGHT["paper"]}"', 1)
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def png(title: str, drawing: Drawing, dpi: int = 120) -> bytes:
    """The drawing under its title."""
    return _saved(drawing, "png", title, dpi=dpi)


def markdown(kind: str, title: str, values: Any) -> str:
    """A chart of a stage (stages.stage.Chart) as a small picture inside Markdown."""
    picture = png(title, partial(OF_STAGES[kind], values), 90)
    return f"![{title}](data:image/png;base64,{base64.b64encode(picture).decode()})"


def _saved(
    drawing: Drawing, kind: str, title: str = "", hashsalt: str | None = None, **options: Any
) -> bytes:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    def saved(fonts: Sequence[str], unwritable: Mapping[int, str]) -> tuple[bytes, set[int]]:
        """The picture, and the characters that none of the fonts has."""
        out = io.BytesIO()
        with (
            rc_context({**SETTINGS, "font.family": ["sans-serif", *fonts], "svg.hashsalt": hashsalt}),
            warnings.catch_warnings(record=True) as said,
        ):
            warnings.simplefilter("always")
            figure = Figure(figsize=(WIDTH, 1), layout="constrained")  # no pyplot: it keeps figures for ever
            figure.set_figheight(drawing(figure) + (0.3 if title else 0))
            if title:
                figure.suptitle(title, fontsize=10, x=0.01, ha="left")
            if unwritable:
                _rewrite(figure, unwritable)
            figure.savefig(out, format=kind, **options)
        missing = (re.match(r"Glyph (\d+) ", str(each.message)) for each in said)
        return out.getvalue(), {int(code[1]) for code in missing if code}

    picture, missing = saved([], {})
    if missing and kind != "svg":  # whose texts are drawn by the page's reader
        fonts, left = _fonts_of(frozenset(missing))
        picture, _ = saved(fonts, {code: f"\\u{code:04x}" for code in left})
    return picture


@cache
def _fonts_of(codes: frozenset[int]) -> tuple[list[str], set[int]]:
    """Fonts of this machine that have these characters between them, the one with most of them first, and
    those that none has."""
    from matplotlib.font_manager import fontManager, get_font

    has: dict[str, frozenset[int]] = {}
    for font in fontManager.ttflist:
        if font.style == "normal" and font.name not in has and not font.name.startswith(BOXES):
            with suppress(OSError, RuntimeError):  # a font that cannot be read
                has[font.name] = codes.intersection(get_font(font.fname).get_charmap())
    fonts, left = list[str](), set(codes)
    while has and left & has[best := max(has, key=lambda name: len(left & has[name]))]:
        fonts.append(best)
        left -= has[best]
    return fonts, left


def _rewrite(figure: Any, instead: Mapping[int, str]) -> None:
    """What stands in the place of characters, in all texts of a figure."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedLocator

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_locator(), FixedLocator):  # else there are numbers
            axis.set_ticklabels([tick.get_text().translate(instead) for tick in axis.get_ticklabels()])
    for text in figure.findobj(Text):
        text.set_text(text.get_text().translate(instead))


def _name_lines(axes: Any, names: Sequence[str]) -> None:
    """The first on top."""
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)


def _legend(axes: Any, most: int = 3) -> None:
    if columns := min(most, len(axes.get_legend_handles_labels()[0])):
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderpad": 0}
        axes.legend(frameon=False, fontsize=8, ncols=columns, **place)


def _short(name: object) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in str(name)).split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"
