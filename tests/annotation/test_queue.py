"""Who is shown which row next."""

from __future__ import annotations

from statistics import mean

import pytest

from synth_assets.annotation.queue import LENT_S, Place, Queue, hidden, ordered, too_fast, within

WORTH: dict[str, float | None] = {f"r{n}": n / 2000 for n in range(2000)}


def queue(worth: dict[str, float | None] = WORTH, control: float = 0.3, double: float = 0.0) -> list[Place]:
    return ordered(worth, "confidence", control=control, double=double)


def test_the_control_is_a_fixed_share_of_each_part_of_the_queue_and_knows_no_worth() -> None:
    places = queue()
    for first in (100, 500, 2000):
        drawn = [place for place in places[:first] if place.draw == "random"]
        assert len(drawn) / first == pytest.approx(0.3, abs=0.03)
        assert mean(WORTH[place.row_id] or 0 for place in drawn) == pytest.approx(0.5, abs=0.12)
    assert {place.probability for place in places} == {0.3, None}


def test_the_others_come_in_the_order_of_their_worth_and_what_is_unknown_comes_last() -> None:
    places = [place for place in queue({**WORTH, "new": None}, control=0.2) if place.draw != "random"]
    assert {place.draw for place in places} == {"chosen by confidence"}
    worth = [-1.0 if place.row_id == "new" else WORTH[place.row_id] or 0 for place in places]
    assert worth == sorted(worth, reverse=True)


def test_a_new_row_moves_no_other_to_another_stratum() -> None:
    before = {place.row_id: place for place in queue(double=0.2)}
    after = {place.row_id: place for place in queue({**WORTH, "new": 0.9}, double=0.2)}
    assert {i: after[i] for i in before} == before


def test_where_nothing_is_known_all_rows_are_drawn_at_random() -> None:
    assert {(place.draw, place.probability) for place in queue(dict.fromkeys(WORTH))} == {("random", 1.0)}


def test_two_people_share_a_queue_and_a_share_of_its_rows_is_given_to_both() -> None:
    people = Queue(queue(double=0.2))
    seen: dict[str, list[str]] = {"ana": [], "ben": []}
    now = 0.0
    while turns := [person for person in seen if people.next(person, person, now)]:
        for person in turns:
            if place := people.next(person, person, now):
                people.answered(place.row_id, person)
                seen[person].append(place.row_id)
    twice = {place.row_id for place in people.places if place.people == 2}
    assert len(twice) == pytest.approx(400, abs=50)
    assert {*seen["ana"]} & {*seen["ben"]} == twice
    assert {*seen["ana"]} | {*seen["ben"]} == {*WORTH}
    assert all(len({*ids}) == len(ids) for ids in seen.values())
    assert people.left == 0


def test_what_one_looks_at_is_not_shown_to_another_until_its_time_is_over() -> None:
    people = Queue([Place("a", "random", 1.0), Place("b", "random", 1.0)])
    first = people.next("ana", "window 1", now=0)
    assert first == people.next("ana", "window 1", now=1)  # the page was loaded again
    assert people.next("ben", "window 2", now=1) == people.places[1]
    assert people.next("ana", "window 3", now=1) is None  # the rest is with others
    assert people.next("ana", "window 3", now=2 * LENT_S) == first


def test_what_somebody_skips_is_left_to_others() -> None:
    people = Queue([Place("a", "random", 1.0)])
    people.skipped("a", "ana")
    assert people.next("ana", "x", 0) is None
    assert people.next("ben", "y", 0)
    assert people.left == 1


def test_the_next_of_a_hundred_thousand_rows_is_found_without_going_through_the_others() -> None:
    looked = []

    class Counting(Queue):
        def _is_open(self, place: Place, person: str) -> bool:
            looked.append(place)
            return super()._is_open(place, person)

    people = Counting(Place(str(n), "random", 1.0) for n in range(100_000))
    for n in range(90_000):
        people.answered(str(n), "ana")
    people.next("ana", "x", 0)
    looked.clear()
    for _ in range(50):
        place = people.next("ana", "x", 0)
        assert place
        people.answered(place.row_id, "ana")
    assert len(looked) <= 2 * 50


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_a_hidden_row_comes_in_each_stretch_and_at_no_fixed_place(share: float) -> None:
    seen = []
    others = given = 0
    while len(seen) < 400:
        is_hidden = hidden("ana", others, share) > given
        seen.append(is_hidden)
        given, others = given + is_hidden, others + (not is_hidden)
    assert mean(seen) == pytest.approx(share, abs=0.02)
    places = [n % round(1 / share) for n, each in enumerate(seen) if each]
    assert share == 0.5 or len({*places}) > 1
    assert not hidden("ana", 10_000, 0.0)


def test_faster_than_anybody_reads() -> None:
    assert too_fast("one two three", 0.3)
    assert not too_fast("one two three", 0.5)
    assert not too_fast("word " * 1000, 3.0)
    assert not too_fast("a text", None)


def test_a_queue_ends_where_its_answers_are_paid_for_and_both_strata_end_there() -> None:
    places = within(queue(double=0.2), 500)
    assert 499 <= sum(place.people for place in places) <= 500
    assert places == queue(double=0.2)[: len(places)]
    drawn = sum(place.draw == "random" for place in places)
    assert drawn / len(places) == pytest.approx(0.3, abs=0.03)
