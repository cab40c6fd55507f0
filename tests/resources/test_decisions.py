"""What people decided: stored once, never changed, and read as it holds after corrections and undos."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from synth_assets.contracts.decision import Decision
from synth_assets.core.errors import UserError
from synth_assets.resources.decisions import Decisions


@pytest.fixture
def store(tmp_path: Path) -> Decisions:
    return Decisions(tmp_path / "reviews.sqlite")


def decision(n: int, value: Any = "positive", **more: Any) -> Decision:
    given = {"row_id": "r1", "round": "2026-11-21", "person": "ann", "kind": "label", "value": value} | more
    return Decision(f"d{n}", "reviews", **given)


def test_a_store_gives_back_what_was_put_in(store: Decisions) -> None:
    assert (store.all("reviews"), store.fingerprint("reviews")) == ([], "")
    sent = [
        decision(1, draw="random", probability=0.25, seconds=3.5),
        decision(2, [[0, 3, "PER"]], kind="spans", saw_suggestion=True, suggestion={"label": "x"}, note="é"),
        decision(3, None, kind="skip", person="bo"),
    ]
    assert store.append(*sent) == 3
    found = store.all("reviews")
    assert [vars(each) | {"time": ""} for each in found] == [vars(each) for each in sent]
    assert all(each.time.endswith("+00:00") for each in found)
    assert [each.measures for each in found] == [True, False, False]
    assert store.all("other") == []


def test_a_decision_that_is_sent_again_is_stored_once(store: Decisions) -> None:
    assert store.append(decision(1), decision(1), decision(2, row_id="r2")) == 2
    before = store.fingerprint("reviews")
    assert store.append(decision(1, "negative")) == 0
    assert [each.value for each in store.all("reviews")] == ["positive", "positive"]
    assert store.fingerprint("reviews") == before
    store.append(decision(3))
    assert store.fingerprint("reviews") != before


def test_corrections_and_undos_leave_what_holds(store: Decisions) -> None:
    store.append(
        decision(1, "positive"),
        decision(2, "negative", corrects="d1"),
        decision(3, "positive", person="bo"),
        decision(4, "negative", row_id="r2"),
        decision(5, None, kind="undo", row_id="r2", corrects="d4"),
        decision(6, "positive", row_id="r3"),
        decision(7, "negative", row_id="r3"),  # in another browser: the last one holds
    )
    held = [(each.row_id, each.person, each.value) for each in store.current("reviews")]
    assert held == [("r1", "ann", "negative"), ("r1", "bo", "positive"), ("r3", "ann", "negative")]
    assert len(store.all("reviews")) == 7


def test_nobody_corrects_what_another_decided(store: Decisions) -> None:
    store.append(decision(1))
    for wrong, why in (({"person": "bo"}, "another person's"), ({"corrects": "d9"}, "is not there")):
        with pytest.raises(UserError, match=why):
            store.append(decision(2, **{"corrects": "d1", **wrong}), decision(3))
    assert len(store.all("reviews")) == 1


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kind": "labl"}, "unknown kind of decision 'labl'.*Did you mean 'label'"),
        ({"draw": "randm"}, "unknown draw 'randm'"),
        ({"draw": "random"}, "nothing is the probability"),
        ({"kind": "undo"}, "undo of nothing"),
        ({"person": ""}, "without its person"),
    ],
)
def test_what_cannot_be_a_decision_is_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why):
        decision(1, **wrong)


def test_what_is_stored_can_be_neither_changed_nor_removed(store: Decisions, tmp_path: Path) -> None:
    store.append(decision(1))
    with sqlite3.connect(tmp_path / "reviews.sqlite") as other:
        for statement in ("UPDATE decisions SET value = 'x'", "DELETE FROM decisions"):
            with pytest.raises(sqlite3.IntegrityError, match="decisions are only added"):
                other.execute(statement)
    assert len(store.all("reviews")) == 1


def test_many_write_at_once_and_each_decision_is_there_once(store: Decisions, tmp_path: Path) -> None:
    def write(person: str) -> None:
        own = Decisions(tmp_path / "reviews.sqlite")
        for n in range(10):
            own.append(
                decision(n, row_id=f"r{n}"), Decision(f"{person}{n}", "reviews", "r", "", person, "skip")
            )
        own.close()

    threads = [Thread(target=write, args=(person,)) for person in ("ann", "bo", "cy")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.decision_id for each in store.all("reviews")}) == len(store.all("reviews")) == 40


def test_a_decision_that_was_changed_behind_its_back_is_named(store: Decisions, tmp_path: Path) -> None:
    store.append(decision(1, seconds=2), decision(2, saw_suggestion=True), decision(3, row_id="é"))
    assert store.damage() == ""
    with sqlite3.connect(tmp_path / "reviews.sqlite") as other:
        other.execute("DROP TRIGGER no_delete")
        other.execute("DELETE FROM decisions WHERE decision_id = 'd2'")
    assert "decision d3 of reviews, or one before it, is not as it was stored" in store.damage()
    (tmp_path / "other.sqlite").write_bytes(b"no database" * 1000)
    assert "is not a database; put a copy of it in" in Decisions(tmp_path / "other.sqlite").damage()
