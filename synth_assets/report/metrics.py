"""The sections of a page that show metrics, (name, slice) -> value, low, high, n, of whatever name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from synth_assets.evaluation.metric_rows import Parts, parts_of
from synth_assets.evaluation.of_texts import VARIED
from synth_assets.report import charts
from synth_assets.report.pages import Number, Picture, Section, Table, general, interval, number, text

Value = tuple[float | None, float | None, float | None, float | None]  # value, low, high, n
Metrics = dict[tuple[str, str], Value]  # by name and slice
NOTHING: Value = (None, None, None, None)
ORDER = [
    ("seeds", "the seeds alone"),
    ("generations", "raw generations"),
    ("filtered", "filtered"),
    ("weighted", "weighted"),
    ("seeds + weighted", "seeds + weighted"),
    ("real", "as many real rows"),
    ("word list", "baseline: word list, no student"),
    ("model alone", "baseline: the model itself, no student"),
]
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
WORDS = dict(ORDER)
SETS = set(VARIED)
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
    left, parts = dict(metrics), parts or parts_of(({"name": n, "slice": s} for n, s in metrics), labels)
    _take(left, "yield")
    yield _accuracy(
        _take(left, "accuracy"),
        _take(left, "accuracy_gain"),
        _take(left, "accuracy_change"),
        {n: _take(left, n) for n in OF_STUDENTS},
    )
    of_answers = [name for name in _names(left) if name.startswith("in_context_")]
    yield _answers({name: _take(left, name) for name in of_answers})
    of_truth = [name for name in _names(left) if name.startswith("truth_")]
    yield _trust({name: _take(left, name) for name in [*TRUST, *of_truth]})
    varied = [name for name in _names(left) if len(_slices(left, name)) > 1 and _slices(left, name) <= SETS]
    yield _diversity({name: _take(left, name) for name in varied})
    curved = [n for n in _names(left) if all(parts[n, s].get("set_rows") for s in _slices(left, n))]
    yield _curves({name: _take(left, name) for name in curved}, parts)
    pairs = {s: (p["gold"], p["said"]) for (n, s), p in parts.items() if n == "confusion" and "said" in p}
    counts = {pairs[s]: v[0] for s, v in _take(left, "confusion").items() if s in pairs and v[0]}
    yield _confusion(counts, _take(left, "error"), labels)
    yield _others(left)


def in_short(name: str, part: str) -> bool:
    """Whether a terminal is shown the metric."""
    if name in ("accuracy", "accuracy_gain"):
        return part in WORDS
    return name.startswith("in_context_") or (name in SHORT and (name not in TRUST or part == "filtered"))


def _names(metrics: Metrics) -> list[str]:
    return list(dict.fromkeys(name for name, _ in metrics))


def _slices(metrics: Metrics, name: str) -> set[str]:
    return {part for of, part in metrics if of == name}


def _take(left: Metrics, name: str) -> dict[str, Value]:
    """Slice -> value of one metric, which later sections do not see."""
    return {key[1]: left.pop(key) for key in list(left) if key[0] == name}


def _diversity(measured: dict[str, dict[str, Value]]) -> Section:
    """What was measured of the sets that are compared with real rows."""
    sets = [s for s in VARIED if any(s in values for values in measured.values())]
    bounded = any(value[1] is not None for values in measured.values() for value in values.values())
    rows = []
    for name, values in measured.items():
        cells = [_bounded(values[s]) if s in values else [Number("")] * 2 for s in sets]
        rows.append([text(name), *(c for pair in cells for c in pair[: 1 + bounded])])
    if not rows:
        return Section("diversity", "Diversity", "", [])
    columns = [c for s in sets for c in (s, "95 % interval")[: 1 + bounded]]
    counts = [value[3] for values in measured.values() for value in values.values()]
    n = number(max(set(counts), key=counts.count), 0)
    words = f"Of {n} rows of each set: most measures depend on the size of a set. What is real are seeds."
    return Section("diversity", "Diversity", words, [Table([f"diversity of {n} rows", *columns], rows)])


def _bounded(value: Value) -> list[Number]:
    return [general(value[0]), interval(value[1], value[2])]


def _accuracy(
    accuracy: dict[str, Value],
    gain: dict[str, Value],
    change: dict[str, Value],
    more: dict[str, dict[str, Value]],
) -> Section:
    rows, drawn = [], []
    for s, (value, low, high, n) in accuracy.items():
        cells = [number(value), interval(low, high), *_gain(gain.get(s, NOTHING)), number(n, 0)]
        rows.append([WORDS.get(s, text(s, 80)), *cells])
        if value is not None:
            drawn.append((s, value, low, high, s in BASELINES))
    first = "accuracy of a student trained on"
    columns = [first, "accuracy", "95 % interval", "against seeds", "95 % interval", "test rows"]
    parts: list[Table | Picture] = [Table(columns, rows)] if rows else []
    if drawn:
        caption = "Accuracy with its 95 % interval; squares are baselines"
        parts.append(Picture("accuracy on real test rows", charts.intervals(drawn), caption))
    if change:
        lines = [[text(part, 80), *_gain(value), number(value[3], 0)] for part, value in change.items()]
        parts.append(Table(["on the same test rows", "gain", "95 % interval", "test rows"], lines))
    known = {name: values for name, values in more.items() if values}
    sets = dict.fromkeys(s for values in known.values() for s in values)
    if sets:
        of_set = {s: [c for v in known.values() for c in _bounded(v.get(s, NOTHING))] for s in sets}
        columns = [c for name in known for c in (OF_STUDENTS[name], "95 % interval")]
        parts.append(Table(["trained on", *columns], [[WORDS.get(s, text(s, 80)), *of_set[s]] for s in sets]))
    words = (
        "Students trained on each set and tested on real rows, beside baselines. A gain is paired: it is "
        "measured on the same test rows."
    )
    return Section("accuracy", "Accuracy of students", words, parts)


def _trust(measured: dict[str, dict[str, Value]]) -> Section:
    """Whether labels are right, and what rows have in common with real ones."""
    named = {name: TRUST.get(name) or text(_against_truth(name), 60) for name in measured}
    rows = [
        [named[name], text(part, 60), *_bounded(value), number(value[3], 0)]
        for name, values in measured.items()
        for part, value in values.items()
    ]
    words = "Of the rows that this round kept: are their labels right, and do they repeat real rows?"
    if measured["kappa"]:
        words += " People labelled some: the share of all labels is that of right ones, corrected by them."
    more = f"and {len(rows) - LINES:,} more" if len(rows) > LINES else ""
    table = Table(["", "rows", "value", "95 % interval", "n"], rows[:LINES], more)
    return Section("trust", "Faithfulness and leaks", words, [table] if rows else [])


def _against_truth(name: str) -> str:
    return f"{name.removeprefix('truth_').replace('_', ' ')}, against what is right"


def _answers(measured: dict[str, dict[str, Value]]) -> Section:
    """What a model answers to test rows, when it is shown rows of each set."""
    gain = measured.pop("in_context_gain", {})
    parts: list[Table | Picture] = []
    for name, values in measured.items():
        words = text(name.removeprefix("in_context_").replace("_", " "), 60)
        rows = [
            [SHOWN.get(s, text(s, 80)), *_bounded(value), *_gain(gain.get(s, NOTHING)), number(value[3], 0)]
            for s, value in values.items()
        ]
        columns = ["when shown", words, "95 % interval", "against seeds", "95 % interval", "test rows"]
        parts.append(Table(columns, rows))
        drawn = [(s, v[0], v[1], v[2], s in ANSWERED_FIRST) for s, v in values.items() if v[0] is not None]
        if drawn:
            caption = f"{words} with its 95 % interval; squares are baselines"
            parts.append(Picture(f"{words} when shown rows of", charts.intervals(drawn), caption))
    words = "Real test rows that a model answers, shown rows of each set. A gain is paired, row by row."
    return Section("answers", "Answers of a model that is shown rows", words, parts)


def _gain(value: Value) -> list[Number]:
    gain, low, high, _ = value
    return [Number("") if gain is None else number(gain, sign="+"), interval(low, high, "+")]


def _curves(curved: dict[str, dict[str, Value]], said: Parts) -> Section:
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
            parts.append(Picture(words, charts.curves(drawn), words))
    words = "Accuracy is that of students of parts of a set, a mean over draws. Bands are 95 % intervals."
    return Section("curves", "Learning curves", words, parts)


def _confusion(
    counts: dict[tuple[str, str], float], errors_of: dict[str, Value], labels: Sequence[str]
) -> Section:
    """Counts of gold and predicted label."""
    errors = {pair: n for pair, n in counts.items() if n and pair[0] != pair[1]}
    known = dict.fromkeys([*labels, *(label for pair in counts for label in pair)])
    wrong = {label: sum(n for pair, n in errors.items() if label in pair) for label in known}
    most = sorted(wrong, key=lambda label: -wrong[label])[:LABELS]
    names = [label for label in known if label in most]
    shown = {pair: n for pair, n in counts.items() if n and set(pair) <= set(names)}
    if not shown:
        return Section("confusion", "Confusion", "", [])
    caption = "Gold labels by predicted labels; the stronger the colour, the more of the gold label"
    if len(known) > len(names):
        caption += f". The {LABELS} labels with the most errors, of {len(known):,}"
    parts: list[Table | Picture] = [Picture("confusion", charts.heat(shown, names), caption)]
    by_class = [[text(y, 60), *_bounded(v), number(v[3], 0)] for y, v in list(errors_of.items())[:LABELS]]
    if by_class:
        parts.append(Table(["gold", "error", "95 % interval", "test rows"], by_class))
    worst = sorted(errors.items(), key=lambda item: (-item[1], item[0]))[:10]
    if worst:
        rows = [[text(gold, 60), text(guess, 60), general(n)] for (gold, guess), n in worst]
        parts.append(Table(["gold", "predicted", "rows"], rows, "most frequent errors"))
    return Section("confusion", "Confusion", "", parts)


def _others(left: Metrics) -> Section:
    """A table of all, and pictures of those that have intervals to compare."""
    names = _names(left)
    ordered = sorted(left.items(), key=lambda item: names.index(item[0][0]))
    rows = [
        [text(name, 80), text(part, 80), *_bounded(value), number(value[3], 0)]
        for (name, part), value in ordered[:LINES]
    ]
    parts: list[Table | Picture] = []
    if rows:
        more = f"and {len(left) - len(rows):,} more" if len(left) > len(rows) else ""
        parts.append(Table(["metric", "slice", "value", "95 % interval", "n"], rows, more))
    for name in names:
        drawn = [
            (part, value[0], value[1], value[2], part in BASELINES)
            for (of, part), value in left.items()
            if of == name and value[0] is not None and value[1] is not None
        ]
        if 1 < len(drawn) <= LABELS and len(parts) <= PICTURES:
            words = text(name.replace("_", " "), 60)
            parts.append(Picture(words, charts.intervals(drawn), f"{words} with its 95 % interval"))
    return Section("metrics", "Other metrics", "", parts)


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
