"""What is shown of a round, and what makes a row worth an answer."""

from __future__ import annotations

import pytest

from synth_assets.core.errors import UserError
from synth_assets.resources import home
from synth_assets.review.desk import Desk
from synth_assets.review.opened import opened
from synth_assets.review.rows import Pairs, Rows, _split
from tests.review.made_up import ROUND, recipe, write

pytestmark = pytest.mark.usefixtures("project")
BEFORE = "2026-11-20"


def rows(section: str, **columns: list[object]) -> Rows:
    """Two rows, of which `labelled` and `weighted` have these columns."""
    of = recipe(section)
    ids = [{"row_id": name, "text": name, "label": "negative"} for name in "ab"]
    write(of, "filtered", ids, round=ROUND)
    for stage in ("labelled", "weighted") if columns else ():
        each = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        write(of, stage, [row | more for row, more in zip(ids, each, strict=True)], round=ROUND)
    return Rows(of, home.lake(), ROUND)


def test_what_is_least_sure_is_worth_most_and_people_s_own_labels_are_left_out() -> None:
    sure = {"confidence": [0.9, 0.6], "label_source": ["condition", "condition"], "weight": [1.0, 0.1]}
    assert rows("{by: confidence}", **sure).worth() == pytest.approx({"a": 0.1, "b": 0.4})
    assert rows("{by: influence}", **sure).worth() == pytest.approx({"a": 0.1, "b": 0.04})
    sure["label_source"] = ["human", "condition"]
    assert rows("{by: disagreement}", **sure).worth() == {"a": None, "b": pytest.approx(0.4)}


def test_what_the_row_has_is_its_label_without_people() -> None:
    made = {"machine_label": ["positive", "negative"], "label": ["negative", "negative"]}
    item = rows("{}", **made).item("a")
    assert item is not None
    assert item.suggestion == "positive"


def test_without_anything_known_no_row_is_worth_more() -> None:
    for by in ("confidence", "disagreement", "influence"):
        assert rows(f"{{by: {by}}}").worth() == {"a": None, "b": None}


def test_one_answer_alone_disagrees_with_nothing() -> None:
    assert _split(["x"]) is None
    assert _split(["x", None]) is None
    assert _split(["x", "y"]) == 0.5


def test_pairs_are_of_two_rounds_and_their_sides_are_drawn() -> None:
    of = recipe("{ask: pair}")
    for round_ in (ROUND, BEFORE):
        texts = [{"row_id": f"{round_}-{n}", "text": f"{n} of {round_}"} for n in range(20)]
        write(of, "filtered", [{**row, "cell": "negative"} for row in texts], round=round_)
    pairs = Pairs(of, home.lake(), ROUND, BEFORE)
    new_first = 0
    for row_id in pairs.worth():
        item = pairs.item(row_id)
        assert item
        assert all(text.endswith(side[:10]) for text, side in zip(item.texts, row_id.split("/"), strict=True))
        new_first += item.texts[0].endswith(ROUND)
    assert 0 < new_first < 20
    desk = Desk(of, pairs, home.decisions())
    assert {place.draw for place in desk.queue.places} == {"random"}
    with pytest.raises(UserError, match="no round before 2026-11-21 that was measured"):
        opened(of)


def test_who_asks_people_nothing_is_told_what_to_write() -> None:
    with pytest.raises(UserError, match=r"reviews asks people nothing: write `review: {}` into its recipe"):
        opened(recipe().model_copy(update={"review": None}))
