"""The step `annotate`: what a model says of each text of `task.annotate`.

No call rests on round, cell or place: a text is asked once, whichever round it comes in and whatever other
texts there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from synth_assets.annotation import annotators
from synth_assets.annotation.answers import wanted
from synth_assets.annotation.asked import BLOCKS, Asked, ways
from synth_assets.annotation.cascaded import COLUMNS, Cascade, cascaded
from synth_assets.contracts.model_spec import NamedModel
from synth_assets.contracts.section import wrong
from synth_assets.contracts.step import Sampled, Work
from synth_assets.core import templates
from synth_assets.core.asking import Answer, LabelLogprobs, Message
from synth_assets.recipe.annotate import ITEM
from synth_assets.students.calibration import batch_calibrated

TOLD = "{# text_type label_type definitions verbalizers instruction #}"  # what the blocks say of the task
MOST = 20  # templates
WHOLE = 16  # tokens of an answer by which labels that begin with the same letter are told apart


class AnnotateStep(Sampled):
    """What a model says of each of your texts: asked once, after an explanation (AnnoLLM, He et al. 2023), by
    the labels' log-probabilities (Wang et al. 2021), or in several ways (CoAnnotating, Li et al. 2023)."""

    newer = (*Sampled.newer, "cascade")
    name = "annotate"
    in_turns = True
    inside: ClassVar[Mapping[str, Any]] = {name: f"<{name}>" for name in BLOCKS}
    fills = frozenset(("label", "label_probabilities", "confidence"))
    columns_in = "annotate"
    second = "cascade"

    annotate: Literal["answer", "explain", "logprobs"]
    """answer: what the text is, in JSON; explain: why, and then what, and why examples are what they are is
    asked first; logprobs: how likely each label is as the next word (its word, where nobody says that)."""
    prompts: int | list[str] = 1
    """In how many ways each text is asked, or templates of your own (docs/annotate.md)."""
    samples: int = Field(default=1, ge=1, le=100)
    """Answers to each of them."""
    calibrate: bool = False
    """Of `logprobs`: without what the model says of any text. Labels have to be about equally frequent."""
    cascade: Cascade | None = None
    """A dear model is asked about the texts of which the step's model is not sure enough."""

    @field_validator("prompts", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        most = len(ways())
        if isinstance(value, list) and 0 < len(value) <= MOST and all(isinstance(v, str) for v in value):
            return value
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"write a number from 1 to {most}, or a list of templates of your own")
        return value

    @property
    def own(self) -> Sequence[str]:
        """Templates of one's own, in the place of the ways to ask."""
        return self.prompts if isinstance(self.prompts, list) else ()

    @property
    def ways(self) -> int:
        """How often a text is asked, of `samples` each."""
        return self.prompts if isinstance(self.prompts, int) else len(self.prompts)

    @property
    def templates(self) -> tuple[str, ...]:
        """One's own, or what stands in the place of the ways to ask."""
        return tuple(self.own) or (f"{{{{ {ITEM} }}}}",)

    @property
    def template(self) -> str:
        return "\n".join((*self.templates, TOLD))

    @property
    def under_role(self) -> bool:
        return self.annotate != "logprobs"

    def columns_of(self, recipe: Any) -> dict[str, str]:
        task = recipe.task
        of_labels = {"label": "string", "label_probabilities": "labels"} if task.classify else {}
        of_it = {task.predict.columns[0]: task.predict.column_type} if task.predict else of_labels
        lists = dict.fromkeys(("answers", "answer_calls"), "list<string>")
        why = {"explanation": "string"} if self.annotate == "explain" else {}
        two = COLUMNS if self.cascade else {}
        return {**of_it, "confidence": "double", "entropy": "double", **why, **lists, **two}

    def models(self, default: str | NamedModel) -> list[str | NamedModel]:
        return [*super().models(default), *([self.cascade.model] if self.cascade else [])]

    def check(self, recipe: Any, name: str) -> None:
        place, task = ("steps", name), recipe.task
        if task.annotate is None:
            why = "it says what your own texts are: name them, as in `task: {annotate: {file: texts.csv}}`"
            raise wrong(why, *place)
        for taken in {*BLOCKS} & {*recipe.steps, *recipe.attributes}:
            raise wrong(f"in its prompts, {taken} means something else: choose another name", *place)
        words = task.verbalizers()
        if len({*words.values()}) < len(words):
            raise wrong(
                "two labels have the same verbalizer, and answers could mean both", "task", "classify"
            )
        if name != "text":
            raise wrong("it makes the row: it is the last step, and called text", *place)
        if task.predict and len(task.predict.columns) > 1:
            raise wrong("spans are written into the text as marks: leave it out", "task", "predict", "kinds")
        if self.cascade:
            self._check_cascade(recipe, *place)
        if self.annotate != "logprobs":
            if self.calibrate:
                raise wrong("it is of `annotate: logprobs`: leave it out", *place, "calibrate")
            return
        if task.predict:
            raise wrong("they are of labels: write `annotate: answer`", *place, "annotate")
        for field in ("prompts", "samples"):
            if getattr(self, field) != 1:
                raise wrong("the probability of a label is asked once: leave it out", *place, field)

    def _check_cascade(self, recipe: Any, *place: str) -> None:
        """How sure an answer is has to be known, and each model's answers have to rest on their text
        alone."""
        if self.annotate != "logprobs" and self.ways * self.samples == 1:
            why = "of one answer nobody knows how sure it is: write `annotate: logprobs`, or `prompts: 3`"
            raise wrong(why, *place, "cascade")
        if self.calibrate:
            raise wrong(
                "it rests on the other texts, and the dear model sees some of them: leave it out",
                *place,
                "calibrate",
            )
        if recipe.shards > 1:
            raise wrong("what it promises, it promises of a whole round: leave it out", "shards")
        if recipe.mode == "batch":
            raise wrong("a cascade asks in turns, each after the answers before: write online", "mode")

    def sampling(self) -> dict[str, Any]:
        """The likeliest answer, where one is asked for."""
        if self.annotate == "logprobs":
            return {**annotators.SAMPLING, **super().sampling()}
        return {"temperature": 0.0 if self.samples == 1 else 0.7, **super().sampling()}

    def shown(self, work: Work) -> Iterator[str]:
        texts = (messages[-1]["content"] for messages in self._messages(Asked(self, work), "chat"))
        yield from islice(texts, self.ways)

    def run(self, work: Work) -> Iterator[Mapping[str, Any]]:
        if self.cascade is None:
            yield from self._says(work)
        else:
            times = 1 if self.annotate == "logprobs" else self.ways * self.samples
            yield from cascaded(self.cascade, work, wanted(work.of).column, self._says, times)

    def _says(self, work: Work) -> Iterator[Mapping[str, Any]]:
        """The rows by one model. All answers of a row are asked one after the other."""
        model = work.model
        assert model is not None
        if self.annotate == "logprobs":
            yield from self._likely(work)
            return
        asked, times = Asked(self, work, self._reasons(work)), self.ways * self.samples
        questions = (each for each in self._messages(asked, model.api) for _ in range(self.samples))
        failed = [asked.failed(row) for row in asked.rows]
        replicates = [f"annotate/{n % self.samples}" for n in range(times)] * failed.count(None)
        answers = iter(model.complete(questions, self.sampling(), replicates, asked.schema))
        for row, why in zip(asked.rows, failed, strict=True):
            yield why or asked.made(row, list(islice(answers, times)))

    def _messages(self, asked: Asked, api: str) -> Iterator[list[Message]]:
        """Of each row that is asked, one a way to ask."""
        for row in asked.rows:
            if self.annotate == "logprobs":
                yield asked.next_word(row, api)
            elif not asked.failed(row):
                for way in range(self.ways):
                    yield templates.chat(asked.prompt(row, way), asked.role)

    def _reasons(self, work: Work) -> dict[str, Answer]:
        """Id of an example that is shown -> why its answer is right: each is asked alone, beside its own
        answer and no other (AnnoLLM)."""
        if self.annotate != "explain" or work.model is None:
            return {}
        bare = Asked(self, work)
        shown = {name: row for name, row in bare.examples.items() if row["answer"]}
        questions = [templates.chat(bare.why(row), bare.role) for row in shown.values()]
        sampling = {**super().sampling(), "temperature": 0.0}
        answers = work.model.complete(questions, sampling, ["explain"] * len(questions))
        return dict(zip(shown, answers, strict=True))

    def _likely(self, work: Work) -> Iterator[Mapping[str, Any]]:
        """By the log-probabilities of the labels, where the endpoint gives some."""
        asked, model = Asked(self, work), work.model
        assert model is not None
        first = [word.strip().casefold()[:1] for word in work.of.verbalizers().values()]
        alike = {} if self.max_tokens or len({*first}) == len(first) else {"max_tokens": WHOLE}
        sampling = {**self.sampling(), **alike}
        answers = list(
            model.complete(self._messages(asked, model.api), sampling, ["annotate"] * len(asked.rows))
        )
        logs = [_trusted(answer, work.of.verbalizers()) for answer in answers]
        found = batch_calibrated(logs) if self.calibrate else [batch_calibrated([p])[0] for p in logs]
        for row, answer, p in zip(asked.rows, answers, found, strict=True):
            yield asked.made(row, [answer], p)


def _trusted(answer: Answer, words: Mapping[str, str]) -> LabelLogprobs | None:
    """The labels' log-probabilities. None where there are none, or where they are of other labels than the
    one that is answered, which happens where several begin with the same token: then the answer is a vote."""
    if not (answer.logprobs and answer.logprobs[0].top):
        return None
    found, said = annotators.read(answer, words), annotators.label_in(answer.text or "", words)
    return found if found and said in (None, max(found, key=found.__getitem__)) else None
