"""The sections of a page that show metrics, (name, slice) -> value, low, high, n, of whatever name."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from synth_assets.evaluation.front import front
from synth_assets.evaluation.metric_rows import VARIED, Parts, parts_of
from synth_assets.report import charts, pages
from synth_assets.report.pages import Number, Picture, Section, Table, general, interval, number, text

Value = tuple[float | None, float | None, float | None, float | None]  # value, low, high, n
Metrics = dict[tuple[str, str], Value]  # by name and slice
NOTHING: Value = (None, None, None, None)
Values = Mapping[str, Value]  # by slice, of one name
WORDS = pages.WORDS["metrics"]
TRAINED_ON, SHOWN, STUDENTS = (WORDS[of] for of in ("trained_on", "shown", "students"))
TRUST, SHORT, SIZED = (WORDS[of] for of in ("trust", "short", "sized"))
COMPARED = {"accuracy": "accuracy"} | {m: STUDENTS[m] for m in ("rmse", "micro_f1", "span_f1")}
ANSWERED_FIRST = ("no rows", "seeds")  # baselines of a model that is shown rows
BASELINES = ("seeds", "real", "word list", "model alone")
FRONT = {"front": "right labels", "front_minutes": "minutes of people", "front_dollars": "US dollars"}
LABELS = 30  # of the picture of a confusion
LINES = 300  # of the table of other metrics
PICTURES = 3  # of other metrics


def metric_sections(metrics: Metrics, labels: Sequence[str], parts: Parts | None = None) -> Iterator[Section]:
    """Each metric in the first section that knows how to show it. Yields stand in the funnel. `parts` is what
    the slices say: by default, what can be read from them."""
    parts = parts or parts_of(({"name": n, "slice": s} for n, s in metrics), labels)
    left: dict[str, dict[str, Value]] = {}  # what later sections see
    for (name, part), value in metrics.items():
        left.setdefault(name, {})[part] = value

    def taken(names: Iterable[str]) -> dict[str, dict[str, Value]]:
        return {name: left.pop(name) for name in list(names) if name in left}

    taken(["yield"])
    measure = next((name for name in COMPARED if name in left), "accuracy")
    scores, gain, change = (left.pop(f"{measure}{of}", {}) for of in ("", "_gain", "_change"))
    change |= {
        f"{set_}, against equal weights": value for set_, value in left.pop("weights_gain", {}).items()
    }
    yield _students(COMPARED[measure], scores, gain, change, taken(STUDENTS))
    yield _answers(taken(name for name in left if name.startswith("in_context_")))
    yield _trust(taken([*TRUST, *(name for name in left if name.startswith("truth_"))]))
    yield _front(taken(FRONT))
    yield _diversity(taken(n for n, values in left.items() if len(values) > 1 and set(values) <= {*VARIED}))
    curves = (n for n, values in left.items() if all(parts[n, s].get("set_rows") for s in values))
    yield _curves(taken(curves), parts)
    yield _confusion(left.pop("confusion", {}), left.pop("error", {}), parts, labels)
    yield _others(left)


def in_short(name: str, part: str, value: float | None) -> bool:
    """Whether a terminal is shown the metric: of students all sets, those too of which it is unknown."""
    if name in COMPARED:
        return True
    if value is None:
        return False
    if name in ("weights_gain", *(f"{each}_gain" for each in COMPARED)):
        return True
    return name.startswith("in_context_") or (
        name in SHORT and (name not in TRUST or part in ("filtered", "labelled"))
    )


def _bounded(value: Value) -> list[Number]:
    return [general(value[0]), interval(value[1], value[2])]


def gained(value: Value) -> list[Number]:
    """A paired gain with its interval, signed; empty where there is none."""
    gain, low, high, _ = value
    return [Number("") if gain is None else number(gain, sign="+"), interval(low, high, "+")]


def _listed(columns: Sequence[str], metrics: Mapping[str, Values], names: Mapping[str, str]) -> list[Table]:
    """A line a metric and slice, LINES at the most."""
    rows = [
        [names.get(name, text(name, 80)), text(part, 80), *_bounded(value), number(value[3], 0)]
        for name, values in metrics.items()
        for part, value in values.items()
    ]
    more = f"and {len(rows) - LINES:,} more" if len(rows) > LINES else ""
    return [Table([*columns, "value", "95 % interval", "n"], rows[:LINES], more)] if rows else []


def _picture(title: str, values: Values, caption: str, baselines: Sequence[str] = BASELINES) -> list[Picture]:
    """Values with their intervals, if any is known."""
    drawn = [(part, *value[:3], part in baselines) for part, value in values.items() if value[0] is not None]
    return [Picture(title, partial(charts.intervals, drawn), caption)] if drawn else []


def _diversity(metrics: Mapping[str, Values]) -> Section:
    """What was measured of the sets that are compared with real rows."""
    everything = [value for values in metrics.values() for value in values.values()]
    if not everything:
        return Section.of("diversity", [])
    sets = [s for s in VARIED if any(s in values for values in metrics.values())]
    shown = 1 + any(low is not None for _, low, _, _ in everything)  # columns of a set
    rows = [
        [text(name), *(c for s in sets for c in (_bounded(v[s]) if s in v else [Number("")] * 2)[:shown])]
        for name, v in metrics.items()
    ]
    columns = [c for s in sets for c in (s, "95 % interval")[:shown]]
    n = number(statistics.mode(n for *_, n in everything), 0)
    return Section.of("diversity", [Table([f"diversity of {n} rows", *columns], rows)], n=n)


def _students(
    measure: str, scores: Values, gain: Values, change: Values, others: Mapping[str, Values]
) -> Section:
    """The measure of students by which sets are compared, and others of the same students."""
    parts: list[Table | Picture] = []
    if scores:
        rows = [
            [_set(s), number(v[0]), interval(v[1], v[2]), *gained(gain.get(s, NOTHING)), number(v[3], 0)]
            for s, v in scores.items()
        ]
        first = f"{measure} of a student trained on"
        columns = [first, measure, "95 % interval", "against seeds", "95 % interval", "test rows"]
        caption = f"{measure[0].upper()}{measure[1:]} with its 95 % interval; squares are baselines"
        parts = [Table(columns, rows), *_picture(f"{measure} on real test rows", scores, caption)]
    if change:
        rows = [[text(part, 80), *gained(value), number(value[3], 0)] for part, value in change.items()]
        parts.append(Table(["on the same test rows", "gain", "95 % interval", "test rows"], rows))
    if others:
        sets = dict.fromkeys(s for values in others.values() for s in values)
        rows = [[_set(s), *(c for v in others.values() for c in _bounded(v.get(s, NOTHING)))] for s in sets]
        columns = [c for name in others for c in (STUDENTS[name], "95 % interval")]
        parts.append(Table(["trained on", *columns], rows))
    return Section.of("accuracy", parts)


def _set(name: str) -> str:
    return TRAINED_ON.get(name, text(name, 80))


def _trust(metrics: Mapping[str, Values]) -> Section:
    """Whether labels are right, and what rows have in common with real ones."""
    truths = {n: f"{n.removeprefix('truth_').replace('_', ' ')}, against what is right" for n in metrics}
    people = "People labelled a random sample: the share of labels is that of right ones, corrected by them."
    more = [people] if metrics.get("kappa", {}).get("filtered", NOTHING)[0] is not None else []
    return Section.of("trust", _listed(["", "rows"], metrics, truths | TRUST), *more)


def _front(metrics: Mapping[str, Values]) -> Section:
    """What a set is worth and costs, the more of it people label: by minutes of people, and by dollars."""
    parts: list[Table | Picture] = []
    quality = {part: value for part, value in metrics.get("front", {}).items() if value[0] is not None}
    costs = {name: values for name, values in metrics.items() if name != "front"}
    if quality and costs:
        rows = [
            [text(part), *_bounded(value), *(general(each.get(part, NOTHING)[0]) for each in costs.values())]
            for part, value in quality.items()
        ]
        names = [FRONT[name] for name in costs]
        parts = [Table(["", "right labels", "95 % interval", *names], rows)]
    for name, values in costs.items() if quality else ():
        known = {
            part: (values[part][0] or 0.0, _ends(value)) for part, value in quality.items() if part in values
        }
        drawing, of = partial(charts.front, {FRONT[name]: front(known)}), f"right labels by {FRONT[name]}"
        parts.append(Picture(of, drawing, "The line joins the points that no cheaper one beats"))
    return Section.of("front", parts)


def _ends(value: Value) -> tuple[float, float, float]:
    """A known value with its interval; itself, where it has none."""
    known, low, high, _ = value
    assert known is not None
    return known, known if low is None else low, known if high is None else high


def _answers(metrics: dict[str, dict[str, Value]]) -> Section:
    """What a model answers to test rows, when it is shown rows of each set."""
    gain = metrics.pop("in_context_gain", {})
    parts: list[Table | Picture] = []
    for name, values in metrics.items():
        title = text(name.removeprefix("in_context_").replace("_", " "), 60)
        rows = [
            [SHOWN.get(s, text(s, 80)), *_bounded(value), *gained(gain.get(s, NOTHING)), number(value[3], 0)]
            for s, value in values.items()
        ]
        columns = ["when shown", title, "95 % interval", "against seeds", "95 % interval", "test rows"]
        caption = f"{title} with its 95 % interval; squares are baselines"
        picture = _picture(f"{title} when shown rows of", values, caption, ANSWERED_FIRST)
        parts += [Table(columns, rows), *picture]
    return Section.of("answers", parts)


def _curves(metrics: Mapping[str, Values], slices: Parts) -> Section:
    """Metrics of parts of a set, by the rows of the part."""
    parts = []
    for name, values in metrics.items():
        series: dict[str, list[charts.Point]] = {}
        for part, (value, low, high, _) in values.items():
            if value is not None:
                at = slices[name, part]
                series.setdefault(at["set"], []).append((float(at["set_rows"]), value, low, high))
        if series:
            drawn = {part: sorted(points) for part, points in list(series.items())[:9]}
            title = f"{text(name.replace('_', ' '), 60)} by number of rows"
            parts.append(Picture(title, partial(charts.curves, drawn), title))
    return Section.of("curves", parts)


def _confusion(confusion: Values, errors_of: Values, slices: Parts, labels: Sequence[str]) -> Section:
    """Counts of gold and predicted label."""
    pairs = {s: (p["gold"], p["said"]) for (n, s), p in slices.items() if n == "confusion" and "said" in p}
    counts = {pairs[s]: n for s, (n, *_) in confusion.items() if s in pairs and n}
    errors = {pair: n for pair, n in counts.items() if pair[0] != pair[1]}
    known = dict.fromkeys([*labels, *(label for pair in counts for label in pair)])
    wrong = {label: sum(n for pair, n in errors.items() if label in pair) for label in known}
    most = sorted(wrong, key=lambda label: -wrong[label])[:LABELS]
    names = [label for label in known if label in most]
    shown = {pair: n for pair, n in counts.items() if set(pair) <= set(names)}
    if not shown:
        return Section.of("confusion", [])
    caption = "Gold labels by predicted labels; the stronger the colour, the more of the gold label"
    if len(known) > len(names):
        caption += f". The {LABELS} labels with the most errors, of {len(known):,}"
    parts: list[Table | Picture] = [Picture("confusion", partial(charts.heat, shown, names), caption)]
    by_class = [[text(y, 60), *_bounded(v), number(v[3], 0)] for y, v in list(errors_of.items())[:LABELS]]
    if by_class:
        parts.append(Table(["gold", "error", "95 % interval", "test rows"], by_class))
    worst = sorted(errors.items(), key=lambda item: (-item[1], item[0]))[:10]
    if worst:
        rows = [[text(gold, 60), text(guess, 60), general(n)] for (gold, guess), n in worst]
        parts.append(Table(["gold", "predicted", "rows"], rows, "most frequent errors"))
    return Section.of("confusion", parts)


def _others(metrics: Mapping[str, Values]) -> Section:
    """A table of all, and pictures of those that have intervals to compare."""
    pictures: list[Picture] = []
    for name, values in metrics.items():
        drawn = {part: value for part, value in values.items() if value[1] is not None}
        if 1 < len(drawn) <= LABELS:
            title = text(name.replace("_", " "), 60)
            pictures += _picture(title, drawn, f"{title} with its 95 % interval")
    return Section.of("metrics", [*_listed(["metric", "slice"], metrics, {}), *pictures[:PICTURES]])


def differences(a: Metrics, b: Metrics, first: str, second: str, most: int) -> Table:
    """Metrics side by side, the largest differences where there are more than `most`."""
    keys = [key for key in dict.fromkeys([*b, *a]) if key[0] != "confusion"]
    names = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in keys))}
    keys.sort(key=lambda key: names[key[0]])
    known = {key: difference(a.get(key, NOTHING), b.get(key, NOTHING), key[0]) for key in keys}
    largest = set(sorted(known, key=lambda key: -abs(known[key][0] or 0))[:most])
    rows = []
    for key in (key for key in keys if key in largest):
        more, low, high = known[key]
        compared = [Number("") if more is None else general(more, "+"), interval(low, high, "+")]
        sides = [*_bounded(a.get(key, NOTHING)), *_bounded(b.get(key, NOTHING))]
        rows.append([*(text(part, 60) for part in key), *sides, *compared])
    columns = ["metric", "slice", first, "95 % interval", second, "95 % interval", "difference"]
    caption = f"the {most} largest differences, of {len(known):,}" if len(known) > most else ""
    return Table([*columns, "95 % interval"], rows, caption)


def difference(a: Value, b: Value, name: str) -> tuple[float | None, float | None, float | None]:
    """b - a, with the interval that follows from theirs (square-and-add; Zou and Donner 2008). There is none
    for a metric that changes with the size of a set where the two rest on different numbers of rows."""
    (x, x_low, x_high, x_rows), (y, y_low, y_high, y_rows) = a, b
    if x is None or y is None or (name in SIZED and x_rows != y_rows):
        return None, None, None
    size = max(abs(x), abs(y))
    gain = round(y - x, 3 - math.floor(math.log10(size))) if size else 0.0  # to the digits that are shown
    if x_low is None or x_high is None or y_low is None or y_high is None:
        return gain if x_rows == y_rows else None, None, None
    return gain, y - x - math.hypot(y - y_low, x_high - x), y - x + math.hypot(y_high - y, x - x_low)
