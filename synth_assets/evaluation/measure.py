"""All that is measured of one round, as metric rows.

A metric row is (name, slice, value, low, high, n, reason): what was measured on which set, with its 95 %
interval, or why it is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.evaluation import diversity, privacy, similarity
from synth_assets.evaluation.facts import verdict_scores
from synth_assets.evaluation.faithfulness import agreement, correctness, proportion, right_share
from synth_assets.evaluation.judging import Verdict, reliability
from synth_assets.evaluation.measured import Measured
from synth_assets.evaluation.predictions import errors, learning_curve, of_one
from synth_assets.evaluation.preference import position_bias, win_tie_lose
from synth_assets.evaluation.usefulness import (
    Predicted,
    TrainingSet,
    compare,
    correct,
    paired_gain,
    predicted,
    wilson,
    word_list_labels,
)
from synth_assets.selection.select import ranked
from synth_assets.students.calibration import batch_calibrated
from synth_assets.students.classifier import Student
from synth_assets.students.made import Made

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.protocols import Encode, LabelLogprobs

COLUMNS = ["name", "slice", "value", "low", "high", "n", "reason"]
VARIED = ("generations", "filtered", "real")  # sets whose diversity is compared
MAIN = "weighted"  # the set whose errors are told one by one
FEW = 10  # rows of a round: fewer are more or less varied by chance
ROUNDS = 5  # before this one, that its diversity is held against
Annotate = Callable[[Sequence[str]], Sequence["LabelLogprobs | None"]]
Sets = Mapping[str, "pd.DataFrame"]


def table(rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """Metric rows as a table; those without a reason have none."""
    import pandas as pd

    return pd.DataFrame([(*row, *[None] * (len(COLUMNS) - len(row))) for row in rows], columns=COLUMNS)


def row(name: str, slice_: str, found: Measured) -> tuple[Any, ...]:
    return name, slice_, found.value, found.low, found.high, found.n, found.why or None


def training_sets(
    generations: pd.DataFrame,
    filtered: pd.DataFrame,
    labelled: pd.DataFrame,
    weighted: pd.DataFrame,
    seeds: pd.DataFrame,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """What is compared: name -> rows with text, label and, where it weighs, weight.

    `real` are as many real rows of each label as `weighted` has synthetic ones, drawn from the unlabeled
    split, whose labels are used for nothing but this reference; absent when there are too few.
    """
    import pandas as pd

    synthetic = weighted[weighted["origin"] == "synthetic"]
    shown = seeds[seeds["split"] == "demonstration"]
    each = {
        "generations": generations[generations["accepted"]],
        "filtered": filtered,
        "labelled": labelled,
        "weighted": synthetic,
    }
    sets = {"seeds": shown, **each}
    for name, rows in each.items():
        sets[f"seeds + {name}"] = pd.concat([shown.assign(weight=1.0) if "weight" in rows else shown, rows])
    if len(synthetic) < len(weighted):  # the recipe says what the seeds weigh
        sets["seeds + weighted"] = weighted
    rest = seeds[seeds["split"] == "unlabeled"]
    drawn: list[str] = []
    for label, n in synthetic["label"].value_counts().items():
        drawn += ranked(rest.loc[rest["label"] == label, "row_id"], seed, "reference")[:n]
    if len(drawn) == len(synthetic) > 0:
        sets["real"] = rest[rest["row_id"].isin(drawn)]
    return sets


def training_set(rows: pd.DataFrame, student: Made) -> TrainingSet:
    weights, labels = list(rows["weight"]) if "weight" in rows else None, list(rows["label"])
    soft = (
        _soft(rows["label_probabilities"], labels) if student.soft and "label_probabilities" in rows else None
    )
    return TrainingSet(student.features(list(rows["text"])), labels, weights, soft)


def _soft(probabilities: Iterable[Mapping[str, float] | None], labels: Sequence[str]) -> Any:
    """(n, K) probabilities of the sorted labels; of a row whose are not known, 1 at its label."""
    import numpy as np

    classes = sorted(set(labels))
    known = [
        [p[c] for c in classes] if isinstance(p, Mapping) else [float(c == label) for c in classes]
        for p, label in zip(probabilities, labels, strict=True)
    ]
    found = np.asarray(known).reshape(len(known), len(classes))
    return found / found.sum(axis=1, keepdims=True)


def predictions(sets: Sets, test: pd.DataFrame, student: Made) -> dict[str, Predicted | None]:
    """What each set's student says of the test rows; None for a set that lacks a class."""
    features, gold = student.features(list(test["text"])), list(test["label"])
    trained = {name: training_set(rows, student) for name, rows in sets.items()}
    return {name: predicted(train, features, gold, student.new) for name, train in trained.items()}


def usefulness(said: Mapping[str, Predicted | None], others: Mapping[str, Any], n: int) -> pd.DataFrame:
    """Accuracy and its gain over the seeds for all sets and baselines (`others`, one bool a test row); of
    students what `of_one` says, of the main set the errors by class and the confusion."""
    import pandas as pd

    right = {name: None if p is None else p.right for name, p in said.items()}
    rows = [found for name, p in said.items() if p is not None for found in of_one(name, p)]
    main = said.get(MAIN)
    rows += [] if main is None else errors(main)
    return pd.concat([compare({**right, **others}, n, "seeds"), table(rows)])


def curves(sets: Sets, test: pd.DataFrame, student: Made, seed: int = 0) -> pd.DataFrame:
    """Accuracy over rows, of the main set and of as many real rows."""
    features, gold = student.features(list(test["text"])), list(test["label"])

    def accuracy(part: pd.DataFrame) -> float | None:
        found = predicted(training_set(part, student), features, gold, student.new)
        return None if found is None else float(found.right.mean())

    compared = [name for name in (MAIN, "real") if len(sets.get(name, ()))]
    return table(
        row for name in compared for row in learning_curve(name, sets[name], accuracy, len(gold), seed)
    )


def change(now: Predicted | None, before: Predicted | None, round_: str) -> pd.DataFrame:
    """Paired gain in accuracy of the main set's student over that of the round before, `round_`."""
    if now is None or before is None:
        return table([])
    gain = paired_gain(now.right, before.right)
    return table([("accuracy_change", against(round_), *gain, len(now.gold))])


def against(round_: str) -> str:
    """The slice of a change since this round."""
    return f"{MAIN}, against {round_}"


def word_list_hits(test: pd.DataFrame, words: Mapping[str, Sequence[str]]) -> Any:
    """Whether the hand-made word list is right, one bool a test row."""
    import numpy as np

    return np.asarray(word_list_labels(list(test["text"]), words)) == np.asarray(test["label"])


def drawn_for_the_model(test: pd.DataFrame, n: int, seed: int = 0) -> pd.DataFrame:
    """The test rows that the model labels by itself."""
    return test[test["row_id"].isin(ranked(test["row_id"], seed, "model alone")[:n])]


def model_alone(test: pd.DataFrame, n: int, annotate: Annotate, by_seeds: Any, seed: int = 0) -> pd.DataFrame:
    """Metric rows of the annotator on `n` of the test rows, its gain over `by_seeds` on the same rows.

    A row that the annotator gives no label is missing, and not wrong.
    """
    import numpy as np

    sample = drawn_for_the_model(test, n, seed)
    probabilities = batch_calibrated(annotate(list(sample["text"])))
    sample = sample[[p is not None for p in probabilities]]
    if sample.empty:
        return compare({"model alone": None}, 0, "seeds")
    guessed = [max(p, key=p.__getitem__) for p in probabilities if p is not None]
    hits = {"model alone": np.asarray(guessed) == np.asarray(sample["label"])}
    if by_seeds is not None:
        hits["seeds"] = by_seeds[sample.index]
    rows = compare(hits, len(sample), "seeds")
    return rows[rows["slice"] == "model alone"]


def diversities(sets: Sets, validation: pd.DataFrame, encode: Encode) -> pd.DataFrame:
    """Diversity of as many rows of each set as the smallest has, as most measures change with the size; and
    how far each is from the validation rows (from `real` where there are none): other real rows are the
    baseline of that."""
    compared = {name: sets[name] for name in VARIED if name in sets}
    n = min(map(len, compared.values()))
    drawn = {
        name: rows[rows["row_id"].isin(ranked(rows["row_id"], "diversity")[:n])]
        for name, rows in compared.items()
    }
    vectors = {name: encode(list(rows["text"])) for name, rows in drawn.items()}
    found = [row for name, rows in drawn.items() for row in _varied(name, rows, vectors[name])]
    reference = validation if len(validation) > 1 else drawn.get("real")
    if reference is not None:
        of_reference = encode(list(reference["text"]))
        for name, rows in drawn.items():
            if rows is not reference:
                found += _from_real(name, rows, reference, vectors[name], of_reference)
    return table(sorted(found, key=lambda r: list(compared).index(r[1])))


def _varied(name: str, rows: pd.DataFrame, vectors: Any) -> Iterator[tuple[Any, ...]]:
    words = diversity.Words.of(list(rows["text"]))
    labels = list(rows["label"]) if rows["label"].notna().all() else None
    yield row("vocabulary", name, diversity.vocabulary_size(words))
    for n in (1, 2):
        yield row(f"distinct_{n}", name, diversity.distinct_n(words, n))
    yield row("ngram_frequency_2", name, diversity.ngram_frequency(words, 2))
    yield row("self_bleu_4", name, diversity.self_bleu(words, 4))
    yield row("average_pairwise_similarity", name, similarity.pairwise_similarity(vectors))
    if labels:
        yield row("similarity_within_class", name, similarity.pairwise_similarity(vectors, labels))
    yield row("centroid_distance", name, similarity.centroid_distance(vectors))
    yield row("remote_clique", name, similarity.remote_clique(vectors))
    yield row("vendi_score", name, similarity.vendi_score(vectors))


def _from_real(
    name: str, rows: pd.DataFrame, real: pd.DataFrame, vectors: Any, of_real: Any
) -> Iterator[tuple[Any, ...]]:
    yield row("chamfer_distance", name, similarity.chamfer_distance(vectors, of_real))
    yield row("mauve", name, similarity.mauve(vectors, of_real))
    k = min(50, max(2, len(real) // similarity.CLUSTERED))
    covered, chance = similarity.cluster_coverage(vectors, of_real, k)
    yield row("cluster_coverage", name, covered)
    yield row("cluster_coverage_expected", name, chance)
    yield row("length_divergence", name, diversity.length_divergence(list(rows["text"]), list(real["text"])))
    if rows["label"].notna().all() and real["label"].notna().all():
        ours, theirs = list(rows["label"]), list(real["label"])
        yield row("label_divergence", name, diversity.label_divergence(ours, theirs))


def leaks(rows: pd.DataFrame, seeds: pd.DataFrame, encode: Encode) -> pd.DataFrame:
    """What the synthetic rows have in common with the seeds that the model was shown, and with the test."""
    texts, slice_ = list(rows["text"]), "filtered"
    shown, other, test = (
        list(seeds.loc[seeds["split"].isin(splits), "text"])
        for splits in (["demonstration"], ["validation", "test"], ["test"])
    )
    vectors, of_shown, of_other = encode(texts), encode(shown), encode(other)
    return table(
        [
            row("copied_seeds", slice_, privacy.whole_copies(texts, shown)),
            row("verbatim_seeds", slice_, privacy.verbatim_overlap(texts, shown)),
            row("contamination", slice_, privacy.verbatim_overlap(texts, test)),
            row("nearest_seed_distance", slice_, privacy.nearest_seed_distance(vectors, of_shown)),
            row("closer_than_real", slice_, privacy.closer_than_real(vectors, of_shown)),
            row("membership_signal", slice_, privacy.membership_signal(vectors, of_shown, of_other)),
        ]
    )


def faithfulness(
    rows: pd.DataFrame, seeds: pd.DataFrame, attributes: Sequence[str], encode: Encode
) -> pd.DataFrame:
    """Share of the rows' labels that a student of the real rows gives them, in all, by label and by condition
    value; all corrected by people where `label_source` says that they labelled some (`label` is theirs). Of
    those rows, how far people and the labels that were asked for agree (Cohen's kappa)."""
    by_people = rows["label_source"].eq("human") if "label_source" in rows else rows["label"].isna()
    asked = rows["former_label"] if "former_label" in rows else rows["label"]
    found = []
    if by_people.any():
        kappa = agreement(list(asked[by_people]), list(rows["label"][by_people]))["kappa"]
        found.append(row("kappa", "filtered", kappa))
    real = seeds[seeds["split"].isin(["demonstration", "validation"])]
    if real["label"].nunique() < 2 or rows.empty:
        return table(found)
    trained = training_set(real, Made(encode, Student))
    people = {i: bool(rows["label"].iloc[i] == asked.iloc[i]) for i, seen in enumerate(by_people) if seen}
    whole = TrainingSet(encode(list(rows["text"])), list(asked))
    found.append(row("correctness", "filtered", correctness(trained, whole, people or None)))
    agrees = correct(trained, whole.features, whole.labels)
    if agrees is None:
        return table(found)
    for attribute in ["label", *attributes]:
        values = asked if attribute == "label" else rows[attribute]
        for value in sorted(values.dropna().unique()) if values.nunique() <= 50 else ():
            at = (values == value).to_numpy().nonzero()[0]
            seen = {j: people[i] for j, i in enumerate(at) if i in people} if people else None
            found.append(row("correctness", f"{attribute}={value}", right_share(list(agrees[at]), seen)))
    return table(found)


def of_rounds(rounds: Mapping[str, Sequence[str]], encode: Encode) -> pd.DataFrame:
    """Diversity of the rows that each round itself has kept, oldest first, as many of each: it falls where a
    set feeds on itself (model collapse, Shumailov et al. 2024). Nothing where the last round has too few."""
    kept = {round_: list(texts) for round_, texts in rounds.items() if len(texts) >= FEW}
    if list(kept)[-1:] != list(rounds)[-1:]:
        return table([])
    n = min([*map(len, kept.values()), 5000])
    found = []
    for round_, texts in kept.items():
        drawn = ranked(texts, "rounds")[:n]
        words, vectors = diversity.Words.of(drawn), encode(drawn)
        found.append(row("round_distinct_2", round_, diversity.distinct_n(words, 2)))
        found.append(row("round_centroid_distance", round_, similarity.centroid_distance(vectors)))
    return table(found)


def falls(rows: pd.DataFrame) -> dict[str, float]:
    """Measure of `of_rounds` -> how far the last round is under the best of those before it, as a share of
    that; nothing where there is one round."""
    found = {}
    for name in ("round_distinct_2", "round_centroid_distance"):
        values = rows.loc[(rows["name"] == name) & rows["value"].notna(), "value"].astype(float)
        if len(values) > 1 and values.iloc[:-1].max() > 0:
            found[name] = float(1 - values.iloc[-1] / values.iloc[:-1].max())
    return found


def drawn_pairs(now: pd.DataFrame, last: pd.DataFrame, n: int) -> list[tuple[Any, Any]]:
    """Pairs of a row of this round and one of the last, of the same cell, as dicts: the cells take turns."""
    by_cell = []
    for cell, rows in now.groupby("cell"):
        both = [
            {r["row_id"]: r for r in side.to_dict("records")} for side in (rows, last[last["cell"] == cell])
        ]
        order = [ranked(side, "pairs") for side in both]
        by_cell.append([(both[0][a], both[1][b]) for a, b in zip(*order, strict=False)])
    longest = max(map(len, by_cell), default=0)
    return [pairs[i] for i in range(longest) for pairs in by_cell if i < len(pairs)][:n]


def preference(
    verdicts: Sequence[Verdict], round_: str, people: Sequence[float | None] | None = None
) -> pd.DataFrame:
    """How often the judge prefers this round's rows to those of `round_`, how much the order decides, and how
    far it says what people say of the same pairs."""
    if not verdicts:
        return table([])
    slice_ = f"against {round_}"
    found = {
        **win_tie_lose([v.verdict for v in verdicts]),
        **position_bias([v.forward for v in verdicts], [v.swapped for v in verdicts]),
        "unread": proportion([v.verdict is None for v in verdicts]),
    }
    rows = [row(f"judge_{name}", slice_, measured) for name, measured in found.items()]
    if people is not None:
        held = reliability([v.verdict for v in verdicts], people)
        rows += [row(f"judge_{name}", f"people, {slice_}", measured) for name, measured in held.items()]
    return table(rows)


def facts(verdicts: Sequence[Sequence[bool | None]], k: int) -> pd.DataFrame:
    """Precision, recall and F1@K of the facts of kept rows, each True, False, or None: it claims nothing."""
    return table(row(name, "filtered", found) for name, found in verdict_scores(verdicts, k).items())


def yields(generations: pd.DataFrame, filtered: pd.DataFrame) -> pd.DataFrame:
    """Kept rows over rows asked for, in all and by cell."""
    counts = {"all": (len(filtered), len(generations))}
    for cell, asked in generations["cell"].value_counts().sort_index().items():
        counts[str(cell)] = (int((filtered["cell"] == cell).sum()), int(asked))
    return table(("yield", name, kept / n, *wilson(kept, n), n) for name, (kept, n) in counts.items())
