"""The metrics of tasks and facts as metrics of Hugging Face's `evaluate`, usable alone and without a network.

    ExactMatch().compute(predictions=["Paris"], references=[["Paris", "paris, France"]])
    ->  {"exact_match": 1.0, "low": 0.21, "high": 1.0, "n": 1, "why": ""}

The value is None where the metric is not known, and `why` says why. Import this module only to use it, or
take the class from `synth_assets.evaluation`: `evaluate` takes long to import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import evaluate

from synth_assets.contracts.measured import Measured
from synth_assets.evaluation import facts, faithfulness, preference, task_metrics
from synth_assets.evaluation.huggingface import Found, InMemory, told
from synth_assets.evaluation.resampling import bootstrap_mean

__all__ = [
    "AUC",
    "BLEU",
    "Agreement",
    "BradleyTerry",
    "ChrF",
    "Elo",
    "EntityError",
    "ExactMatch",
    "FactF1AtK",
    "MeanRank",
    "MultipleChoice",
    "PassAtK",
    "RatingAgreement",
    "RatingShares",
    "RougeL",
    "SetF1",
    "SolveRate",
    "SpanF1",
    "TokenF1",
    "WinTieLose",
]

TEXT, NUMBER, TRUTH = datasets.Value("string"), datasets.Value("float64"), datasets.Value("bool")
TEXTS = datasets.Sequence(TEXT)


class _Metric(InMemory, evaluate.Metric):
    predictions: Any = TEXT
    references: Any = None  # there are none

    def _info(self) -> evaluate.MetricInfo:
        columns = {"predictions": self.predictions, "references": self.references}
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description=f"\n{self._compute.__doc__}",
            features=datasets.Features({name: kind for name, kind in columns.items() if kind is not None}),
        )


def told_all(measures: Mapping[str, Measured]) -> Found:
    """Of several measures, the rest of each under its name: `win_low`."""
    result: Found = {}
    for name, measured in measures.items():
        found = told(name, measured)
        result |= {key if key == name else f"{name}_{key}": value for key, value in found.items()}
    return result


class Agreement(_Metric):
    """Accuracy, macro-F1 and Cohen's kappa (Zhu et al. 2023)."""

    references = TEXT
    lacking = ("predictions", "references")

    def _compute(self, predictions: list[str], references: list[str]) -> Found:
        """predictions, references: labels; None is missing."""
        return told_all(faithfulness.agreement(predictions, references))


class SpanF1(_Metric):
    """F1 of named entities: a span is right if its type and both its ends are."""

    predictions = TEXTS
    references = TEXTS

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> Found:
        """predictions, references: BIO tags of a sentence."""
        return told("span_f1", task_metrics.span_f1(predictions, references))


class SetF1(_Metric):
    """Micro-averaged F1 of sets, such as triples."""

    predictions = datasets.Sequence(TEXTS)
    references = datasets.Sequence(TEXTS)

    def _compute(self, predictions: list[list[list[str]]], references: list[list[list[str]]]) -> Found:
        """predictions, references: members of a row's set, each a list of texts."""
        found, gold = ([list(map(tuple, members)) for members in rows] for rows in (predictions, references))
        return told("set_f1", task_metrics.set_f1(found, gold))


class ExactMatch(_Metric):
    """Share of answers that are right in SQuAD's normal form (Rajpurkar et al. 2016)."""

    references = TEXTS

    def _compute(self, predictions: list[str], references: list[list[str]]) -> Found:
        """predictions: answers; references: right answers of each."""
        return told("exact_match", task_metrics.exact_match(predictions, references))


class TokenF1(_Metric):
    """Mean F1 of an answer's words to the nearest right answer (Rajpurkar et al. 2016)."""

    references = TEXTS

    def _compute(self, predictions: list[str], references: list[list[str]]) -> Found:
        """predictions: answers; references: right answers of each."""
        return told("token_f1", task_metrics.token_f1(predictions, references))


class SolveRate(_Metric):
    """Share of worked solutions with the right final answer (GSM8K, Cobbe et al. 2021)."""

    references = TEXT

    def _compute(self, predictions: list[str], references: list[str]) -> Found:
        """predictions, references: worked solutions."""
        return told("solve_rate", task_metrics.solve_rate(predictions, references))


class PassAtK(_Metric):
    """Chance that one of k programs passes, without bias (Chen et al. 2021)."""

    predictions = datasets.Sequence(TRUTH)

    def _compute(self, predictions: list[list[bool]], k: int = 1) -> Found:
        """predictions: whether each program of a problem passed; k: programs."""
        counts = [(len(passed), sum(passed)) for passed in predictions]
        return told(f"pass_at_{k}", task_metrics.pass_at_k(counts, k))


class AUC(_Metric):
    """Area under the ROC curve."""

    predictions = NUMBER
    references = TRUTH
    lacking = ("predictions", "references")

    def _compute(self, predictions: list[float], references: list[bool]) -> Found:
        """predictions: scores; references: whether the row is positive; None is missing."""
        return told("auc", task_metrics.auc(predictions, references))


class BLEU(_Metric):
    """BLEU of the set by sacrebleu, 0 to 100 (Papineni et al. 2002)."""

    references = TEXTS

    def _compute(self, predictions: list[str], references: list[list[str]]) -> Found:
        """predictions: texts; references: of each."""
        return told("bleu", task_metrics.bleu(predictions, references))


class ChrF(_Metric):
    """chrF2 of the set by sacrebleu, 0 to 100 (Popović 2015)."""

    references = TEXTS

    def _compute(self, predictions: list[str], references: list[list[str]]) -> Found:
        """predictions: texts; references: of each."""
        return told("chrf", task_metrics.chrf(predictions, references))


class RougeL(_Metric):
    """Mean ROUGE-L F1 to the nearest reference (Lin 2004)."""

    references = TEXTS

    def _compute(self, predictions: list[str], references: list[list[str]]) -> Found:
        """predictions: texts; references: of each."""
        return told("rouge_l", task_metrics.rouge_l(predictions, references))


class EntityError(_Metric):
    """Share of named entities that the evidence lacks (Lee et al. 2022); lower is better."""

    references = TEXT

    def _compute(self, predictions: list[str], references: list[str]) -> Found:
        """predictions: texts; references: evidence of each."""
        return told("entity_error", facts.entity_error(predictions, references))


class WinTieLose(_Metric):
    """Shares of wins, ties and losses, win score and win rate (AlpaGasus, Chen et al. 2023)."""

    predictions = NUMBER
    lacking = ("predictions",)

    def _compute(self, predictions: list[float]) -> Found:
        """predictions: verdicts on one system: 1 it won, 0.5 a tie, 0 it lost; None is missing."""
        return told_all(preference.win_tie_lose(predictions))


class BradleyTerry(_Metric):
    """Strengths of systems by pairs of their answers, in whatever order (Bradley & Terry 1952)."""

    predictions = NUMBER
    lacking = ("predictions",)

    def _compute(self, predictions: list[float], first: list[str], second: list[str]) -> Found:
        """predictions: verdicts on the first system of each game: 1, 0.5, 0; first, second: the systems."""
        return told_all(preference.bradley_terry(_games(predictions, first, second)))


class Elo(_Metric):
    """Online Elo ratings, which depend on the order of the games (Bai et al. 2022)."""

    predictions = NUMBER
    lacking = ("predictions",)

    def _compute(self, predictions: list[float], first: list[str], second: list[str], k: float = 32) -> Found:
        """predictions, first, second: as of BradleyTerry; k: most that a game moves a rating."""
        return told_all(preference.elo(_games(predictions, first, second), k))


class RatingShares(_Metric):
    """Share of the ratings that is each level (four-level rating, Wang et al. 2023)."""

    lacking = ("predictions",)

    def _compute(self, predictions: list[str], levels: Sequence[str] = preference.LEVELS) -> Found:
        """predictions: the level of each row; levels: the best one first."""
        return told_all(preference.level_shares(predictions, levels))


class MeanRank(_Metric):
    """Mean rank of each system among the responses that were ranked (Xu et al. 2023)."""

    predictions = datasets.Sequence(NUMBER)

    def _compute(self, predictions: list[list[float]], systems: Sequence[str]) -> Found:
        """predictions: ranks of the systems in each ranking, 1 the best, equal ones are ties; systems: their
        names, in the order of the ranks."""
        return told_all(preference.mean_ranks([dict(zip(systems, r, strict=True)) for r in predictions]))


class RatingAgreement(_Metric):
    """Kappa, weighted kappa and Spearman's correlation of two raters by levels (Wang et al. 2023)."""

    references = TEXT
    lacking = ("predictions", "references")

    def _compute(
        self, predictions: list[str], references: list[str], levels: Sequence[str] = preference.LEVELS
    ) -> Found:
        """predictions, references: levels of the same rows by two raters; levels: the best one first."""
        return told_all(preference.level_agreement(predictions, references, levels))


class MultipleChoice(_Metric):
    """TruthfulQA's MC1 and MC2 (Lin et al. 2022): options are scored by their log-probability."""

    predictions = datasets.Sequence(NUMBER)
    references = datasets.Sequence(NUMBER)

    def _compute(self, predictions: list[list[float]], references: list[list[float]]) -> Found:
        """predictions: log-probabilities of a question's true options, the best first; references: of its
        false ones."""
        return told_all(task_metrics.multiple_choice(predictions, references))


class FactF1AtK(_Metric):
    """F1 at K of atomic facts, mean over the texts (SAFE, Wei et al. 2024)."""

    predictions = datasets.Sequence(TRUTH)

    def _compute(self, predictions: list[list[bool]], k: int) -> Found:
        """predictions: whether each fact of a text is supported; k: facts that are wanted."""
        scores = [facts.f1_at_k(sum(found), len(found) - sum(found), k) for found in predictions]
        return told(f"fact_f1_at_{k}", bootstrap_mean(scores))


def _games(verdicts: list[float], first: list[str], second: list[str]) -> list[preference.Comparison]:
    return [preference.Comparison(*game) for game in zip(first, second, verdicts, strict=True)]
