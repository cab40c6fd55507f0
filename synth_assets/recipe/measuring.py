"""The sections of a recipe that say what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from synth_assets.contracts.measure import Metric
from synth_assets.contracts.model_spec import ModelSpec
from synth_assets.contracts.section import TOKENS, Section, class_of, one_of, wrong
from synth_assets.contracts.step import Prompted
from synth_assets.core.registry import METRICS

OF_TEXTS = ("exact_match", "token_f1", "solve_rate", "set_f1", "bleu", "chrf", "rouge_l")  # see task_metrics
PASSES = "pass_at_1"


def _among(*known: str) -> AfterValidator:
    """A metric of the task has one of these names."""

    def check(name: str) -> str:
        one_of("metric", name, known)
        return name

    return AfterValidator(check)


class Judged(Section):
    """A model that compares rows of this round with rows of the last one, each pair in both orders."""

    newer = ("people", "max_tokens")

    rows: int = Field(default=50, ge=1, le=1_000_000)
    """Pairs, two calls each."""
    question: str = (
        "Write a {{ text_type }}."
        "{% if definition is defined %} Its {{ label_type }} is {{ label }}: {{ definition }}.{% endif %}"
    )
    """Template over the row and the task: what both rows are answers to."""
    model: ModelSpec | None = None
    """Default: the annotator's."""
    max_tokens: int = Field(default=512, ge=1, le=TOKENS)
    """Of an answer."""
    people: str | None = None
    """CSV file of what people say of pairs: first_id, second_id, better."""


class Student(Section):
    """The small model that is trained on the sets, to measure them."""

    by: Literal["logistic", "softmax", "boosting", "transformer"] = "logistic"
    """The kind of model; transformer needs torch."""
    features: Literal["encoder", "tfidf"] = "encoder"
    """Sentence vectors, or words and pairs of words of the training set."""
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of a label that goes to all labels alike; with softmax and transformer."""
    ensembling: bool = False
    """Sure rows are held to what earlier epochs said of them; with softmax."""
    soft: bool = False
    """It learns the probabilities of labels, and not the label alone; not with boosting."""

    @model_validator(mode="after")
    def _goes_with(self) -> Student:
        if self.features == "tfidf" and self.by == "transformer":
            raise wrong("a transformer reads the texts themselves: leave it out", "features")
        if self.smoothing and self.by not in ("softmax", "transformer"):
            raise wrong("smoothing goes with `by`: softmax, transformer", "smoothing")
        if self.ensembling and self.by != "softmax":
            raise wrong("ensembling goes with `by`: softmax", "ensembling")
        if self.soft and self.by == "boosting":
            raise wrong("trees learn no probabilities: leave it out", "soft")
        return self


class Facts(Section):
    """Facts of rows, listed by a model and looked up in passages (SAFE, Wei et al. 2024)."""

    newer = ("max_tokens", "of")

    file: str | None = None
    """Passages, one a line, that are searched for a fact."""
    of: str | None = None
    """In place of a file: the column of the row that has to support its facts."""
    rows: int = Field(default=20, ge=1, le=1_000_000)
    """Rows, a call each, and one for each of their facts."""
    k: int = Field(default=5, ge=1, le=10_000)
    """Facts that are wanted of a row."""
    passages: int = Field(default=3, ge=1, le=10_000)
    """Passages that are looked at for a fact."""
    model: ModelSpec | None = None
    """Default: the annotator's."""
    max_tokens: int = Field(default=512, ge=1, le=TOKENS)
    """Of an answer."""

    @model_validator(mode="after")
    def _one_source(self) -> Facts:
        if (self.file is None) == (self.of is None):
            raise ValueError("give one of `file` (passages) and `of` (a column)")
        return self


class InContext(Prompted):
    """A model answers test rows, shown `k` rows of each set: what a set teaches where answers are texts."""

    temperature: float | None = Field(default=0.0, ge=0, le=100)
    """Of the answers."""
    answer: str
    """Field of seeds and rows: what is right of a test row, and shown of the others."""
    by: Annotated[str, _among(*OF_TEXTS, PASSES)] = Field(json_schema_extra={"enum": [*OF_TEXTS, PASSES]})
    """The metric of an answer against what is right."""
    k: int = Field(default=4, ge=1, le=10_000)
    """Rows shown of each set."""
    rows: int = Field(default=50, ge=1, le=1_000_000)
    """Test rows, a call each for each set."""

    @model_validator(mode="before")
    @classmethod
    def _one_way(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and ("prompt" in value) == ("complete" in value):
            raise ValueError("give one of `prompt` (a chat message) and `complete` (text to go on with)")
        return value


class Truth(Section):
    """The column that holds the right answer, and the metric of the task."""

    column: str
    """The column that has what is right."""
    by: Annotated[str, _among("label", *OF_TEXTS)] = Field(
        "label", json_schema_extra={"enum": ["label", *OF_TEXTS]}
    )
    """The metric of one against the other."""


def _metric(given: Any) -> Any:
    """The metric of a word and its section, which may be empty: its defaults."""
    if not isinstance(given, tuple):
        return given
    word, section = given
    return class_of(METRICS, word, Metric).model_validate({} if section in (None, True) else section)


AnyMetric = Annotated[SerializeAsAny[Metric], BeforeValidator(_metric)]
BUILT_IN = (  # in the order of their rows
    *("word_list", "student", "model_alone", "diversity", "privacy", "evidence", "truth", "faithfulness"),
    *("in_context", "facts", "judge", "knowledge"),
)


class Metrics(Section):
    """What the set is measured by: metrics that are built in, and others by their words."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, AnyMetric] = Field(init=False)

    newer = ("truth", "in_context", "facts", "knowledge")

    diversity: bool = True
    """How varied the sets are."""
    student: bool = True
    """Accuracy of students of the sets, and what follows from it."""
    privacy: bool = True
    """Whether the rows give the seeds away."""
    faithfulness: bool = True
    """Whether the labels are right."""
    contamination: float = Field(default=0.01, ge=0, le=1)
    """Share of kept rows that may repeat eight words of a test row."""
    collapse: float = Field(default=0.2, ge=0, le=1)
    """How far a round's diversity may fall under the best round before it."""
    model_alone: int = Field(default=0, ge=0, le=1_000_000)
    """Test rows that the annotator labels by itself; 0: none."""
    judge: Judged | None = None
    """A model compares rows of this round and the last."""
    evidence: str | None = None
    """Condition or field in which the entities of the text have to be."""
    word_list: dict[str, list[str]] = {}
    """Label -> words: the baseline that a person writes by hand."""
    truth: dict[str, Truth] = {}
    """Column -> the column that has what is right, and the metric."""
    in_context: InContext | None = None
    """A model answers test rows, shown rows of each set."""
    facts: Facts | None = None
    """Facts of rows, listed by a model and looked up in passages."""
    knowledge: bool = False
    """How much of what conditions can take (lines, pieces, leaves, triples, rows) all rounds have used."""

    @model_validator(mode="before")
    @classmethod
    def _by_word(cls, value: Any) -> Any:
        """What is no field is a metric by its name, or by its place in a module."""
        if not isinstance(value, Mapping):
            return value
        return {w: said if w in cls.model_fields else (str(w), said) for w, said in value.items()}

    @property
    def others(self) -> dict[str, Metric]:
        """The metrics that are not built in, by the words that the recipe has for them."""
        return dict(self.__pydantic_extra__ or {})

    def chosen(self) -> list[Metric]:
        """The metrics that the recipe wants, in the order of their rows. Only these are imported."""
        wanted = {word: getattr(self, word) for word in BUILT_IN}
        built_in = [METRICS.find(word).of(said) for word, said in wanted.items() if said]
        return [*built_in, *self.others.values()]
