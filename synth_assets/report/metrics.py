"""The sections of a page that show metrics, (name, slice) -> value, low, high, n, of whatever name."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from synth_assets.evaluation.metric_rows import Parts, parts_of
from synth_assets.evaluation.of_texts import VARIED
from synth_assets.report import charts
from synth_assets.report.pages import Number, Picture, Section, Table, general, interval, number, text

Value = tuple[float | None, float | None, float | None, float | None]  # value, low, high, n
Metrics = dict[tuple[str, str], Value]  # by name and slice
NOTHING: Value = (None, None, None, None)
Values = Mapping[str, Value]  # by slice, of one name
WORDS = {
    "seeds": "the seeds alone",
    "generations": "raw generations",
    **{name: name for name in ("filtered", "weighted", "seeds + weighted")},
    "real": "as many real rows",
    "word list": "baseline: word list, no student",
    "model alone": "baseline: the model itself, no student",
}
SHOWN = {"no rows": "no rows", "seeds": "the seeds", "generations": "raw generations"}
TRUST = {
    "correctness": "labels that a student of the real rows gives as well",
    "kappa": "agreement of the labels asked for with those by people, beyond chance (Cohen's kappa)",
    "entity_error": "entities that are not in the evidence",
    "copied_seeds": "copies of a shown seed",
    "verbatim_seeds": "eight words in a row in common with a shown seed",
    "contamination": "eight words in a row in common with a test row",
    "nearest_seed_distance": "distance to the nearest shown seed, 5 % quantile",
    "closer_than_real": "closer to a shown seed than seeds are to each other (0.5: as close)",
    "membership_signal": "do rows tell shown seeds from other real rows? (area; 0.5: no)",
    "fact_precision": "facts of a row that passages support",
    "fact_recall_at_k": "facts of a row that passages support, of those wanted",
    "fact_f1_at_k": "both in one (F1@K)",
}
SHORT = {  # what a terminal is shown of the metrics, beside accuracy and the answers of a model
    *("correctness", "contamination", "membership_signal", "entity_error", "fact_precision"),
    *("vocabulary", "distinct_1", "distinct_2", "self_bleu_4", "average_pairwise_similarity"),
}
ANSWERED_FIRST = ("no rows", "seeds")  # baselines of a model that is shown rows
BASELINES = ("seeds", "real", "word list", "model alone")
OF_STUDENTS = {"macro_f1": "macro-F1", "auc": "AUC", "calibration_error": "calibration error"}
SIZED = {  # what changes with the size of a set: compared on as many rows only
    *("vocabulary", "distinct_1", "distinct_2", "self_bleu_4", "vendi_score", "mauve", "chamfer_distance"),
    *("cluster_coverage", "cluster_coverage_expected"),
}
LABELS = 30  # of the picture of a confusion
LINES = 300  # of the table of other metrics
PICTURES = 3  # of other metrics
INDEPENDENT = (
    "The interval of a difference is that of independent rows (Zou and Donner 2008): too wide where both "
    "were measured on the same rows. On other numbers of rows, what has no interval is not compared, nor "
    "what changes with the size of a set."
)


def metric_sections(metrics: Metrics, labels: Sequence[str], parts: Parts | None = None) -> Iterator[Section]:
    """Each metric in the first section that knows how to show it. Yields stand in the funnel. `parts` is what
    the slices say: by default, what can be read from them."""
    parts = parts or parts_of(({"name": n, "slice": s} for n, s in metrics), labels)
    left: dict[str, dict[str, Value]] = {}  # what later sections see
    for (name, part), value in metrics.items():
        left.setdefault(name, {})[part] = value
    left.pop("yield", None)
    yield _accuracy(left)
    yield _answers({name: left.pop(name) for name in list(left) if name.startswith("in_context_")})
    trusted = [*TRUST, *(name for name in left if name.startswith("truth_"))]
    yield _trust({name: left.pop(name) for name in trusted if name in left})
    varied = [name for name, values in left.items() if len(values) > 1 and set(values) <= set(VARIED)]
    yield _diversity({name: left.pop(name) for name in varied})
    curved = [name for name, values in left.items() if all(parts[name, s].get("set_rows") for s in values)]
    yield _curves({name: left.pop(name) for name in curved}, parts)
    yield _confusion(left.pop("confusion", {}), left.pop("error", {}), parts, labels)
    yield _others(left)


def in_short(name: str, part: str) -> bool:
    """Whether a terminal is shown the metric."""
    if name in ("accuracy", "accuracy_gain"):
        return part in WORDS
    return name.startswith("in_context_") or (name in SHORT and (name not in TRUST or part == "filtered"))


def _bounded(value: Value) -> list[Number]:
    return [general(value[0]), interval(value[1], value[2])]


def gained(value: Value) -> list[Number]:
    """A paired gain with its interval, signed; empty where there is none."""
    gain, low, high, _ = value
    return [Number("") if gain is None else number(gain, sign="+"), interval(low, high, "+")]


def _listed(names: Sequence[str], measured: Mapping[str, Values], words: Mapping[str, str]) -> list[Table]:
    """A line a metric and slice, LINES at the most."""
    rows = [
        [words.get(name, text(name, 80)), text(part, 80), *_bounded(value), number(value[3], 0)]
        for name, values in measured.items()
        for part, value in values.items()
    ]
    more = f"and {len(rows) - LINES:,} more" if len(rows) > LINES else ""
    return [Table([*names, "value", "95 % interval", "n"], rows[:LINES], more)] if rows else []


def _picture(title: str, values: Values, caption: str, baselines: Sequence[str] = BASELINES) -> list[Picture]:
    """Values with their intervals, if any is known."""
    drawn = [(part, *value[:3], part in baselines) for part, value in values.items() if value[0] is not None]
    return [Picture(title, partial(charts.intervals, drawn), caption)] if drawn else []


def _diversity(measured: Mapping[str, Values]) -> Section:
    """What was measured of the sets that are compared with real rows."""
    everything = [value for values in measured.values() for value in values.values()]
    if not everything:
        return Section("diversity", "Diversity", "", [])
    sets = [s for s in VARIED if any(s in values for values in measured.values())]
    shown = 1 + any(low is not None for _, low, _, _ in everything)  # columns of a set
    rows = [
        [text(name), *(c for s in sets for c in (_bounded(v[s]) if s in v else [Number("")] * 2)[:shown])]
        for name, v in measured.items()
    ]
    columns = [c for s in sets for c in (s, "95 % interval")[:shown]]
    n = number(statistics.mode(n for *_, n in everything), 0)
    words = f"Of {n} rows of each set: most measures depend on the size of a set. What is real are seeds."
    return Section("diversity", "Diversity", words, [Table([f"diversity of {n} rows", *columns], rows)])


def _accuracy(left: dict[str, dict[str, Value]]) -> Section:
    accuracy, gain, change = (left.pop(f"accuracy{of}", {}) for of in ("", "_gain", "_change"))
    parts: list[Table | Picture] = []
    if accuracy:
        rows = [
            [_set(s), number(v[0]), interval(v[1], v[2]), *gained(gain.get(s, NOTHING)), number(v[3], 0)]
            for s, v in accuracy.items()
        ]
        first = "accuracy of a student trained on"
        columns = [first, "accuracy", "95 % interval", "against seeds", "95 % interval", "test rows"]
        caption = "Accuracy with its 95 % interval; squares are baselines"
        parts = [Table(columns, rows), *_picture("accuracy on real test rows", accuracy, caption)]
    if change:
        lines = [[text(part, 80), *gained(value), number(value[3], 0)] for part, value in change.items()]
        parts.append(Table(["on the same test rows", "gain", "95 % interval", "test rows"], lines))
    if known := {words: left.pop(name) for name, words in OF_STUDENTS.items() if name in left}:
        sets = dict.fromkeys(s for values in known.values() for s in values)
        rows = [[_set(s), *(c for v in known.values() for c in _bounded(v.get(s, NOTHING)))] for s in sets]
        parts.append(Table(["trained on", *(c for words in known for c in (words, "95 % interval"))], rows))
    words = (
        "Students trained on each set and tested on real rows, beside baselines. A gain is paired: it is "
        "measured on the same test rows."
    )
    return Section("accuracy", "Accuracy of students", words, parts)


def _set(name: str) -> str:
    return WORDS.get(name, text(name, 80))


def _trust(measured: Mapping[str, Values]) -> Section:
    """Whether labels are right, and what rows have in common with real ones."""
    truths = {n: f"{n.removeprefix('truth_').replace('_', ' ')}, against what is right" for n in measured}
    words = "Of the rows that this round kept: are their labels right, and do they repeat real rows?"
    if "kappa" in measured:
        words += " People labelled some: the share of all labels is that of right ones, corrected by them."
    return Section("trust", "Faithfulness and leaks", words, _listed(["", "rows"], measured, truths | TRUST))


def _answers(measured: dict[str, dict[str, Value]]) -> Section:
    """What a model answers to test rows, when it is shown rows of each set."""
    gain = measured.pop("in_context_gain", {})
    parts: list[Table | Picture] = []
    for name, values in measured.items():
        words = text(name.removeprefix("in_context_").replace("_", " "), 60)
        rows = [
            [SHOWN.get(s, text(s, 80)), *_bounded(value), *gained(gain.get(s, NOTHING)), number(value[3], 0)]
            for s, value in values.items()
        ]
        columns = ["when shown", words, "95 % interval", "against seeds", "95 % interval", "test rows"]
        caption = f"{words} with its 95 % interval; squares are baselines"
        picture = _picture(f"{words} when shown rows of", values, caption, ANSWERED_FIRST)
        parts += [Table(columns, rows), *picture]
    words = "Real test rows that a model answers, shown rows of each set. A gain is paired, row by row."
    return Section("answers", "Answers of a model that is shown rows", words, parts)


def _curves(curved: Mapping[str, Values], said: Parts) -> Section:
    """Metrics of parts of a set, by the rows of the part."""
    parts = []
    for name, values in curved.items():
        series: dict[str, list[charts.Point]] = {}
        for part, (value, low, high, _) in values.items():
            if value is not None:
                at = said[name, part]
                series.setdefault(at["set"], []).append((float(at["set_rows"]), value, low, high))
        if series:
            drawn = {part: sorted(points) for part, points in list(series.items())[:9]}
            words = f"{text(name.replace('_', ' '), 60)} by number of rows"
            parts.append(Picture(words, partial(charts.curves, drawn), words))
    words = "Accuracy is that of students of parts of a set, a mean over draws. Bands are 95 % intervals."
    return Section("curves", "Learning curves", words, parts)


def _confusion(confusion: Values, errors_of: Values, said: Parts, labels: Sequence[str]) -> Section:
    """Counts of gold and predicted label."""
    pairs = {s: (p["gold"], p["said"]) for (n, s), p in said.items() if n == "confusion" and "said" in p}
    counts = {pairs[s]: n for s, (n, *_) in confusion.items() if s in pairs and n}
    errors = {pair: n for pair, n in counts.items() if pair[0] != pair[1]}
    known = dict.fromkeys([*labels, *(label for pair in counts for label in pair)])
    wrong = {label: sum(n for pair, n in errors.items() if label in pair) for label in known}
    most = sorted(wrong, key=lambda label: -wrong[label])[:LABELS]
    names = [label for label in known if label in most]
    shown = {pair: n for pair, n in counts.items() if set(pair) <= set(names)}
    if not shown:
        return Section("confusion", "Confusion", "", [])
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
    return Section("confusion", "Confusion", "", parts)


def _others(left: Mapping[str, Values]) -> Section:
    """A table of all, and pictures of those that have intervals to compare."""
    pictures: list[Picture] = []
    for name, values in left.items():
        drawn = {part: value for part, value in values.items() if value[1] is not None}
        if 1 < len(drawn) <= LABELS:
            words = text(name.replace("_", " "), 60)
            pictures += _picture(words, drawn, f"{words} with its 95 % interval")
    table = _listed(["metric", "slice"], left, {})
    return Section("metrics", "Other metrics", "", [*table, *pictures[:PICTURES]])


def differences(a: Metrics, b: Metrics, first: str, second: str, most: int) -> Table:
    """Metrics side by side, the largest differences where there are more than `most`."""
    keys = [key for key in dict.fromkeys([*b, *a]) if key[0] != "confusion"]
    names = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in keys))}
    keys.sort(key=lambda key: names[key[0]])
    known = {key: _difference(a.get(key, NOTHING), b.get(key, NOTHING), key[0] in SIZED) for key in keys}
    largest = set(sorted(known, key=lambda key: -abs(known[key][0] or 0))[:most])
    rows = []
    for key in (key for key in keys if key in largest):
        difference, low, high = known[key]
        compared = [Number("") if difference is None else general(difference, "+"), interval(low, high, "+")]
        sides = [*_bounded(a.get(key, NOTHING)), *_bounded(b.get(key, NOTHING))]
        rows.append([*(text(part, 60) for part in key), *sides, *compared])
    columns = ["metric", "slice", first, "95 % interval", second, "95 % interval", "difference"]
    caption = f"the {most} largest differences, of {len(known):,}" if len(known) > most else ""
    return Table([*columns, "95 % interval"], rows, caption)


def _difference(a: Value, b: Value, sized: bool) -> tuple[float | None, float | None, float | None]:
    """b - a, with the interval that follows from theirs (square-and-add; Zou and Donner 2008). There is none
    for a measure that is `sized` where the two rest on different numbers of rows."""
    (x, x_low, x_high, x_rows), (y, y_low, y_high, y_rows) = a, b
    if x is None or y is None or (sized and x_rows != y_rows):
        return None, None, None
    size = max(abs(x), abs(y))
    gain = round(y - x, 3 - math.floor(math.log10(size))) if size else 0.0  # to the digits that are shown
    if x_low is None or x_high is None or y_low is None or y_high is None:
        return gain if x_rows == y_rows else None, None, None
    return gain, y - x - math.hypot(y - y_low, x_high - x), y - x + math.hypot(y_high - y, x - x_low)
