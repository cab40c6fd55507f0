"""How varied the texts of a set are, how far from real ones, and what they copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth_assets.contracts.measure import Look, Metric, Row, row
from synth_assets.evaluation import diversity, privacy, similarity
from synth_assets.evaluation.metric_rows import table
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.core.asking import Encode
    from synth_assets.evaluation.metric_rows import Sets

VARIED = ("generations", "filtered", "real")  # sets whose diversity is compared
FEW = 10  # rows of a round: fewer are more or less varied by chance
ROUNDS = 5  # before this one, that its diversity is held against


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


def _varied(name: str, rows: pd.DataFrame, vectors: Any) -> Iterator[Row]:
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
) -> Iterator[Row]:
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


class Diversity(Metric):
    """How varied the sets are, and the rows of each round by itself."""

    name = "diversity"

    def measure(self, look: Look) -> pd.DataFrame:
        """Rows about the sets, and about the last rounds."""
        import pandas as pd

        by_round = {str(name): list(rows["text"]) for name, rows in look.so_far("filtered").groupby("round")}
        latest = dict(sorted(by_round.items())[-1 - ROUNDS :])
        validation = look.seeds[look.seeds["split"] == "validation"]
        of_sets = diversities(look.sets(), validation, look.encode)
        return pd.concat([of_sets, of_rounds(latest, look.encode)])


class Privacy(Metric):
    """What the rows have in common with seeds and test rows."""

    name = "privacy"

    def measure(self, look: Look) -> pd.DataFrame:
        """Nothing where there are no seeds."""
        return leaks(look.filtered, look.seeds, look.encode) if len(look.seeds) else table([])
