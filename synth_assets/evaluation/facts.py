"""Facts: named entities that the evidence lacks, and atomic facts that are supported.

What finds the parts of a text and what checks them are functions: patterns stand in for a named entity
recogniser, sentences for atomic facts. A model does both better: `atomic_facts` and `supported`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from synth_assets.contracts.measure import Look, Metric, Row, row
from synth_assets.contracts.measured import Measured
from synth_assets.core.text.claims import Split, absent, entities
from synth_assets.evaluation.judging import PROMPTS, SAMPLING, ask
from synth_assets.recipe.measuring import Facts as Wanted
from synth_assets.selection.select import ranked

if TYPE_CHECKING:
    import pandas as pd

    from synth_assets.contracts.model_spec import NamedModel
    from synth_assets.core.asking import Completes

BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")


def entity_errors(text: str, evidence: str, find: Split = entities) -> tuple[int, int]:
    """(entities that the evidence lacks, entities)."""
    return len(absent(text, evidence, find)), len(find(text))


def entity_error(texts: Sequence[str], evidence: Sequence[str], find: Split = entities) -> Measured:
    """Share of named entities that are absent from the evidence of their text (the named-entity error of
    FactualityPrompt, Lee et al. 2022), over all entities; lower is better."""
    from synth_assets.evaluation.resampling import ratio

    counted = [entity_errors(text, known, find) for text, known in zip(texts, evidence, strict=True)]
    return ratio(counted, "no text names an entity")


def f1_at_k(supported: int, unsupported: int, k: int) -> float:
    """F1@K of one text (SAFE, Wei et al. 2024): precision of its facts, and their number against the `k`
    that are wanted; 0 without a supported fact."""
    if not supported:
        return 0.0
    precision, recall = supported / (supported + unsupported), min(supported / k, 1.0)
    return 2 * precision * recall / (precision + recall)


def verdict_scores(texts: Sequence[Sequence[bool | None]], k: int) -> dict[str, Measured]:
    """`fact_precision`, `fact_recall_at_k` and `fact_f1_at_k`, means over the texts (SAFE, Wei et al. 2024),
    from the verdicts on the facts of each; None, beside the point, counts for nothing. Of entailed sentences
    the precision is FactualityPrompt's entailment ratio."""
    from synth_assets.evaluation.resampling import bootstrap_mean

    counted = [(list(verdicts).count(True), list(verdicts).count(False)) for verdicts in texts]
    precisions = [s / (s + u) if s + u else None for s, u in counted]
    return {
        "fact_precision": bootstrap_mean(precisions, "no text has a fact"),
        "fact_recall_at_k": bootstrap_mean([min(s / k, 1.0) for s, _ in counted]),
        "fact_f1_at_k": bootstrap_mean([f1_at_k(s, u, k) for s, u in counted]),
    }


def atomic_facts(
    texts: Sequence[str], model: Completes, max_tokens: int = SAMPLING["max_tokens"]
) -> list[list[str] | None]:
    """What a model lists as the facts of each text (FActScore, Min et al. 2023); None without an answer."""
    said = ask([PROMPTS["facts"].format(text=text) for text in texts], model, "atomic facts", max_tokens)
    listed = [
        None if answer is None else (BULLET.sub("", s).strip() for s in answer.splitlines())
        for answer in said
    ]
    return [None if lines is None else list(dict.fromkeys(filter(None, lines))) for lines in listed]


def supported(
    facts: Sequence[Sequence[str]],
    find: Callable[[str, int], Sequence[str]],
    model: Completes,
    max_tokens: int = SAMPLING["max_tokens"],
) -> list[list[bool | None]]:
    """Whether a model sees each fact of each text supported by the passages that `find` gives for it and
    the number of its text (SAFE, Wei et al. 2024, with passages in place of a search engine). None:
    irrelevant, or no verdict to read."""
    prompts = [
        PROMPTS["support"].format(passages="\n".join(find(fact, number)) or "(none)", fact=fact)
        for number, of_text in enumerate(facts)
        for fact in of_text
    ]
    said = ask(prompts, model, "supported", max_tokens)
    verdicts = iter([_verdict(answer or "") for answer in said])
    return [[next(verdicts) for _ in of_text] for of_text in facts]


def _verdict(answer: str) -> bool | None:
    found = re.search(r"\b(supported|unsupported|not supported|irrelevant)\b", answer.lower())
    return None if found is None or found[0] == "irrelevant" else found[0] == "supported"


class Evidence(Metric):
    """Entities of the text that another column of the row has to have."""

    name = "evidence"

    wanted: str  # the column

    def measure(self, look: Look) -> Iterator[Row]:
        """Of the rows that this round kept."""
        known = list(look.filtered[self.wanted].fillna(""))
        yield row("entity_error", "filtered", entity_error(list(look.filtered["text"]), known))


class Facts(Metric):
    """Facts of kept rows, listed by a model and looked up in passages, or in a column of the row."""

    name = "facts"

    wanted: Wanted

    def models(self) -> Sequence[str | NamedModel | None]:
        """The one that it names, or the annotator's."""
        return (self.wanted.model,)

    def measure(self, look: Look) -> Iterator[Row]:
        """Precision, recall and F1@K. A row without an answer is left out."""
        found = verdict_scores(self._verdicts(look, look.filtered), self.wanted.k)
        return (row(name, "filtered", measured) for name, measured in found.items())

    def ask(self, look: Look) -> None:
        """Of rows that are not there yet: a call each, and one for each of their facts."""
        if look.filtered is not None:
            self._verdicts(look, look.filtered)
            return
        most = look.recipe.most_rows * len(look.recipe.cells)
        look.expect(self._model(look), (1 + self.wanted.k) * min(self.wanted.rows, most))

    def _model(self, look: Look) -> Completes:
        return look.model(self.wanted.model, "facts", lines=self.wanted.k)

    def _verdicts(self, look: Look, kept: pd.DataFrame) -> list[list[bool | None]]:
        wanted, model = self.wanted, self._model(look)
        drawn = ranked(kept["row_id"], look.recipe.seed, "facts")[: wanted.rows]
        rows, limit = kept[kept["row_id"].isin(drawn)], wanted.max_tokens
        listed = atomic_facts(list(rows["text"]), model, limit)
        known = [facts for facts in listed if facts is not None]
        own = list(rows[wanted.of].fillna("")) if wanted.of else []
        evidence = [text for text, facts in zip(own, listed, strict=False) if facts is not None]

        def find(fact: str, number: int) -> Sequence[str]:
            if wanted.file is None:
                return [evidence[number]]
            return look.retrieve(wanted.file, fact, wanted.passages)

        return supported(known, find, model, limit)
