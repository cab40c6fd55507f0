"""The measures as metrics and measurements of Hugging Face's `evaluate`, usable alone and without a network.

    SelfBLEU().compute(data=texts)  ->  {"self_bleu": 0.31, "low": 0.29, "high": 0.33, "n": 1000, "why": ""}
    ExactMatch().compute(predictions=["Paris"], references=[["Paris", "paris, France"]])

The value is None where the measure is not known, and `why` says why. Each class is a line of `TABLE`, and its
description the docstring of the function that it calls. Import this module only to use it, or take the class
from `synth_assets.evaluation`: `evaluate` takes long to import.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import datasets
import evaluate
import numpy as np

from synth_assets.contracts.measured import Measured
from synth_assets.evaluation import diversity, facts, faithfulness, preference, privacy, similarity
from synth_assets.evaluation import task_metrics as tasks
from synth_assets.evaluation.resampling import bootstrap_mean

Found = dict[str, Any]
Texts = Sequence[str]
TEXT, NUMBER, TRUTH = datasets.Value("string"), datasets.Value("float64"), datasets.Value("bool")
TEXTS, NUMBERS, TRUTHS = (datasets.Sequence(kind) for kind in (TEXT, NUMBER, TRUTH))
VECTOR = datasets.Sequence(datasets.Value("float32"))
OTHERS = ("real", "seeds", "shown", "held_out")  # options that are vectors where the data are


class Kind(NamedTuple):
    """What a class is given: its columns, and what they are, in words."""

    columns: Mapping[str, Any]
    words: str
    gaps: bool = False  # whether None is a missing value; else it is refused


def set_f1(found: Sequence[Sequence[Texts]], gold: Sequence[Sequence[Texts]]) -> Measured:
    """Micro-averaged F1 of sets, such as triples."""
    return tasks.set_f1(*([list(map(tuple, members)) for members in rows] for rows in (found, gold)))


def pass_at_k(passed: Sequence[Sequence[bool]], k: int = 1) -> Measured:
    """Chance that one of k programs passes, without bias (Chen et al. 2021)."""
    return tasks.pass_at_k([(len(programs), sum(programs)) for programs in passed], k)


def fact_f1_at_k(supported: Sequence[Sequence[bool]], k: int) -> Measured:
    """F1 at K of atomic facts, mean over the texts (SAFE, Wei et al. 2024)."""
    return bootstrap_mean([facts.f1_at_k(sum(found), len(found) - sum(found), k) for found in supported])


def bradley_terry(verdicts: Sequence[float], first: Texts, second: Texts) -> dict[str, Measured]:
    """Strengths of systems by pairs of their answers, in whatever order (Bradley & Terry 1952)."""
    return preference.bradley_terry(_games(verdicts, first, second))


def elo(verdicts: Sequence[float], first: Texts, second: Texts, k: float = 32) -> dict[str, Measured]:
    """Online Elo ratings, which depend on the order of the games (Bai et al. 2022)."""
    return preference.elo(_games(verdicts, first, second), k)


def _games(verdicts: Sequence[float], first: Texts, second: Texts) -> list[preference.Comparison]:
    return [preference.Comparison(*game) for game in zip(first, second, verdicts, strict=True)]


def mean_ranks(ranks: Sequence[Sequence[float]], systems: Texts) -> dict[str, Measured]:
    """Mean rank of each system among the responses that were ranked (Xu et al. 2023)."""
    return preference.mean_ranks([dict(zip(systems, each, strict=True)) for each in ranks])


def _of(words: str, predictions: Any, references: Any = None, gaps: bool = False) -> Kind:
    columns = {"predictions": predictions} | ({} if references is None else {"references": references})
    return Kind(columns, f"{', '.join(columns)}: {words}", gaps)


WORDS = Kind({"data": TEXT}, "data: texts or labels, like those they are held against")
VECTORS = Kind({"data": VECTOR}, "data: vectors of unit length, like those they are held against")
LABELS = _of("labels or levels of the same rows, None is missing", TEXT, TEXT, gaps=True)
TAGS = _of("BIO tags of a sentence", TEXTS, TEXTS)
SETS = _of("members of a row's set, each a list of texts", datasets.Sequence(TEXTS), datasets.Sequence(TEXTS))
ANSWERS = _of("a text a row, and those that are right", TEXT, TEXTS)
PAIRS = _of("a text a row, and the one that it is held against", TEXT, TEXT)
TRUE = _of("whether each program of a problem passed, or each fact of a text is supported", TRUTHS)
SCORES = _of("scores, and whether the row is positive; None is missing", NUMBER, TRUTH, gaps=True)
VERDICTS = _of("verdicts on a system, of two on the first: 1 it won, .5 a tie, 0 it lost", NUMBER, gaps=True)
LEVELS = _of("the level of each row, None is missing", TEXT, gaps=True)
RANKS = _of("ranks of the systems in each ranking, 1 the best, equal ones are ties", NUMBERS)
OPTIONS = _of(
    "log-probabilities of a question's true options, the best first, and false ones", NUMBERS, NUMBERS
)
# class -> the function that it calls, the key of its value (empty: it names several), what it is given
TABLE: Mapping[str, tuple[Callable[..., Any], str, Kind]] = {
    "Vocabulary": (diversity.vocabulary_size, "vocabulary", WORDS),
    "DistinctN": (diversity.distinct_n, "distinct_{n}", WORDS),
    "NgramFrequency": (diversity.ngram_frequency, "ngram_frequency_{n}", WORDS),
    "SelfBLEU": (diversity.self_bleu, "self_bleu", WORDS),
    "LengthDivergence": (diversity.length_divergence, "length_divergence", WORDS),
    "LabelDivergence": (diversity.label_divergence, "label_divergence", WORDS),
    "WholeCopies": (privacy.whole_copies, "whole_copies", WORDS),
    "VerbatimOverlap": (privacy.verbatim_overlap, "verbatim_overlap", WORDS),
    "AveragePairwiseSimilarity": (similarity.pairwise_similarity, "average_pairwise_similarity", VECTORS),
    "CentroidDistance": (similarity.centroid_distance, "centroid_distance", VECTORS),
    "RemoteClique": (similarity.remote_clique, "remote_clique", VECTORS),
    "VendiScore": (similarity.vendi_score, "vendi_score", VECTORS),
    "ChamferDistance": (similarity.chamfer_distance, "chamfer_distance", VECTORS),
    "ClusterCoverage": (similarity.cluster_coverage, "cluster_coverage", VECTORS),
    "Mauve": (similarity.mauve, "mauve", VECTORS),
    "NearestSeedDistance": (privacy.nearest_seed_distance, "nearest_seed_distance", VECTORS),
    "CloserThanReal": (privacy.closer_than_real, "closer_than_real", VECTORS),
    "MembershipSignal": (privacy.membership_signal, "membership_signal", VECTORS),
    "Agreement": (faithfulness.agreement, "", LABELS),
    "SpanF1": (tasks.span_f1, "span_f1", TAGS),
    "SetF1": (set_f1, "set_f1", SETS),
    "ExactMatch": (tasks.exact_match, "exact_match", ANSWERS),
    "TokenF1": (tasks.token_f1, "token_f1", ANSWERS),
    "SolveRate": (tasks.solve_rate, "solve_rate", PAIRS),
    "PassAtK": (pass_at_k, "pass_at_{k}", TRUE),
    "AUC": (tasks.auc, "auc", SCORES),
    "BLEU": (tasks.bleu, "bleu", ANSWERS),
    "ChrF": (tasks.chrf, "chrf", ANSWERS),
    "RougeL": (tasks.rouge_l, "rouge_l", ANSWERS),
    "EntityError": (facts.entity_error, "entity_error", PAIRS),
    "WinTieLose": (preference.win_tie_lose, "", VERDICTS),
    "BradleyTerry": (bradley_terry, "", VERDICTS),
    "Elo": (elo, "", VERDICTS),
    "RatingShares": (preference.level_shares, "", LEVELS),
    "MeanRank": (mean_ranks, "", RANKS),
    "RatingAgreement": (preference.level_agreement, "", LABELS),
    "MultipleChoice": (tasks.multiple_choice, "", OPTIONS),
    "FactF1AtK": (fact_f1_at_k, "fact_f1_at_{k}", TRUE),
}


class _InMemory(evaluate.EvaluationModule):
    """The data stay in memory: it makes no file and no folder. ValueError for a None that is no gap."""

    function: Callable[..., Any]
    result: str
    kind: Kind

    def __init__(self, *args: Any, keep_in_memory: bool = True, **options: Any) -> None:
        super().__init__(*args, keep_in_memory=keep_in_memory, **options)

    def _build_data_dir(self) -> str:
        return "" if self.keep_in_memory else super()._build_data_dir()

    def _info(self) -> Any:
        info = evaluate.MetricInfo if isinstance(self, evaluate.Metric) else evaluate.MeasurementInfo
        options = list(inspect.signature(self.function).parameters.values())[len(self.kind.columns) :]
        return info(
            description=self.__doc__ or "",
            citation="",
            inputs_description="\n" + "; ".join([self.kind.words, *map(str, options)]),
            features=datasets.Features(self.kind.columns),
        )

    def add_batch(self, **inputs: Any) -> None:
        """As of `evaluate`, which writes into this docstring."""
        for name in () if self.kind.gaps else inputs:
            values = () if inputs[name] is None else inputs[name]
            if (place := next((i for i, value in enumerate(values) if value is None), None)) is not None:
                raise ValueError(f"{name}: the value at place {place} is None. Leave such rows out.")
        super().add_batch(**inputs)

    def _enforce_nested_string_type(self, schema: Any, obj: Any) -> None:
        """`evaluate` looks at the first value only, and takes None everywhere but there."""
        if obj is not None:
            super()._enforce_nested_string_type(schema, obj)

    def _compute(self, **given: Any) -> Found:
        if self.kind is VECTORS:
            given |= {k: np.asarray(v, dtype=np.float32) for k, v in given.items() if k in ("data", *OTHERS)}
        columns = [given.pop(name) for name in self.kind.columns]
        bound = inspect.signature(self.function).bind(*columns, **given)
        bound.apply_defaults()
        return _told(self.function(*bound.args, **bound.kwargs), self.result.format(**bound.arguments))


def _told(found: Any, name: str) -> Found:
    """Of several measures, the rest of each under its name: `win_low`."""
    if isinstance(found, Mapping):
        each = [(key, _told(measured, key)) for key, measured in found.items()]
        return {k if k == key else f"{key}_{k}": v for key, told in each for k, v in told.items()}
    if isinstance(found, tuple):  # with the value that is expected by chance
        return {**_told(found[0], name), "expected": found[1].value}
    return {name: found.value, "low": found.low, "high": found.high, "n": found.n, "why": found.why}


def _class(name: str, function: Callable[..., Any], result: str, kind: Kind) -> type:
    told = {"function": staticmethod(function), "result": result, "kind": kind, "__module__": __name__}
    base = evaluate.Measurement if "data" in kind.columns else evaluate.Metric
    return type(name, (_InMemory, base), {**told, "__doc__": inspect.getdoc(function)})


__all__ = list(TABLE)
globals().update({name: _class(name, *line) for name, line in TABLE.items()})
