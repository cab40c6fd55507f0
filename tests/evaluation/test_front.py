"""What a set is worth and costs, by how many of its rows people label."""

from __future__ import annotations

import pytest

from synth_assets.evaluation.front import NO_RANDOM, front, sweep
from synth_assets.selection.select import ranked

# AG News as CoAnnotating published it: entropy of the answers to several wordings -> rows up to it, and how
# many of them the model labels right
AG_NEWS = {
    0.0: (141, 139),
    0.2: (266, 260),
    0.4: (832, 787),
    0.6: (1064, 982),
    0.8: (1146, 1046),
    1: (1154, 1052),
}


def ag_news() -> tuple[list[str], dict[str, bool]]:
    """Rows from the least sure on, and whether the model is right."""
    unsure: dict[str, float] = {}
    right: dict[str, bool] = {}
    rows = good = 0
    for entropy, (up_to, right_up_to) in AG_NEWS.items():
        for at in range(rows, up_to):
            unsure[f"r{at}"], right[f"r{at}"] = entropy, at - rows < right_up_to - good
        rows, good = up_to, right_up_to
    return sorted(ranked(unsure), key=lambda name: -unsure[name]), right


def test_a_set_is_worth_what_was_published_of_the_rows_that_stay_with_the_model() -> None:
    order, right = ag_news()
    points = sweep(order, right)
    assert points[0].quality.value == pytest.approx(0.9114, abs=0.001)  # all rows to the model
    for at, published in ((6, 0.9456), (15, 0.9793)):  # about 832 and 266 rows are left
        of_model = (points[at].quality.value - points[at].share) / (1 - points[at].share)
        assert of_model == pytest.approx(published, abs=0.012)
    last = points[-1]
    assert (last.people, last.share, last.quality.value) == (1154, 1, 1.0)


def test_the_front_is_of_points_that_no_cheaper_one_beats() -> None:
    points = sweep(*ag_news())
    drawn = front({f"{p.people}": (p.people * 0.1, (p.quality.value, 0, 1)) for p in reversed(points)})
    assert [point.cost for point in drawn] == [pytest.approx(p.people * 0.1) for p in points]
    best = [point.value for point in drawn if point.best]
    assert (drawn[0].best, best[-1]) == (True, 1)
    assert best == sorted(set(best))
    at_random = sweep(ranked(ag_news()[0]), ag_news()[1])
    for by_entropy, other in zip(points[4:16], at_random[4:16], strict=True):
        assert by_entropy.quality.value > other.quality.value


def test_without_a_random_label_of_people_nobody_knows_what_the_model_is_worth() -> None:
    points = sweep(["a", "b"], {})
    assert points[0].quality.value is None
    assert points[0].quality.why == NO_RANDOM
    assert points[-1].quality.value == 1
