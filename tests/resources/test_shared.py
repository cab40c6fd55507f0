"""What people decide and edit on one machine is there on the others that share its lake."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from synth_assets.contracts.decision import Decision
from synth_assets.core.errors import UserError
from synth_assets.recipe.load import load
from synth_assets.recipe.review_files import review_file, was_edited, write_review
from synth_assets.resources import home
from synth_assets.resources.decisions import Decisions
from synth_assets.resources.shared_decisions import FOLDER, SharedDecisions
from synth_assets.resources.storage import azure
from synth_assets.resources.storage.objects import Objects
from synth_assets.resources.storage.shared_folders import SharedFolders
from tests.azure import KEY as AZURE
from tests.s3 import SECRET

Machine = Callable[[str], Path]


@pytest.fixture
def machine(project: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Go on at the machine of this name, which has the recipe and a home of its own."""
    recipe, seeds = (project / name for name in ("recipes/reviews.yaml", "seeds.csv"))
    monkeypatch.setenv("SYNTH_LAKE", store)

    def at(name: str) -> Path:
        folder = project / name
        (folder / "home").mkdir(parents=True, exist_ok=True)
        (folder / "recipes").mkdir(exist_ok=True)
        (folder / "recipes" / "reviews.yaml").write_bytes(recipe.read_bytes())
        (folder / "seeds.csv").write_bytes(seeds.read_bytes())
        monkeypatch.setenv("SYNTH_HOME", str(folder / "home"))
        monkeypatch.setenv("SYNTH_RECIPES", str(folder / "recipes"))
        monkeypatch.chdir(folder)
        home._folders.cache_clear()  # as in another process
        return folder

    return at


def decision(n: int, value: str = "positive", person: str = "ann", **more: str) -> Decision:
    return Decision(f"d{n}", "reviews", f"r{n}", "2026-11-21", person, "label", value, **more)


def test_what_people_decide_on_two_machines_is_there_on_both(machine: Machine) -> None:
    machine("one")
    here = home.decisions()
    assert here.append(decision(1), decision(2)) == 2
    machine("two")
    there = home.decisions()
    assert [each.decision_id for each in there.all("reviews")] == ["d1", "d2"]
    assert there.append(decision(1), decision(3, person="bo")) == 1
    assert there.append(decision(4, "negative", corrects="d1")) == 1
    machine("one")
    assert here.all("reviews") == there.all("reviews")
    assert here.fingerprint("reviews") == there.fingerprint("reviews") != ""
    assert here.fingerprint("other") == ""
    assert here.damage() == there.damage() == ""
    with pytest.raises(UserError, match="corrects d3, which is another person's"):
        here.append(decision(5, corrects="d3"))
    (home.home() / "reviews.sqlite").unlink()  # the machine is lost
    assert home.decisions().all("reviews") == there.all("reviews")


def test_machines_that_decide_at_once_lose_nothing(store: str, tmp_path: Path) -> None:
    stores = [SharedDecisions(tmp_path / f"{n}.sqlite", Objects(store)) for n in range(3)]

    def decide(n: int) -> None:
        for i in range(8):
            stores[n].append(decision(100 * n + i))

    threads = [Thread(target=decide, args=[n]) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = {f"d{100 * n + i}" for n in range(3) for i in range(8)}
    assert [{each.decision_id for each in store.all("reviews")} for store in stores] == [wanted] * 3
    assert len({store.fingerprint("reviews") for store in stores}) == 1


def test_what_the_store_has_lost_comes_back_from_who_has_it(store: str, tmp_path: Path) -> None:
    objects = Objects(store)
    Decisions(tmp_path / "one.sqlite").append(decision(1))  # before the two shared a lake
    one, two = (SharedDecisions(tmp_path / f"{name}.sqlite", objects) for name in ("one", "two"))
    one.append(decision(2))
    assert two.fingerprint("reviews") == one.fingerprint("reviews")
    for name in objects.below(FOLDER):
        objects.remove(f"{FOLDER}/{name}")
    assert len(two.all("reviews")) == 2

    three = SharedDecisions(tmp_path / "three.sqlite", objects)
    assert three.fingerprint("reviews") == one.fingerprint("reviews")
    cut = f"{FOLDER}/{next(iter(objects.below(FOLDER)))}"
    objects.put(cut, (objects.get(cut) or b"")[:-9])
    four = SharedDecisions(tmp_path / "four.sqlite", objects)
    with pytest.raises(UserError, match=rf"{cut} is not as it was written: remove it"):
        four.all("reviews")
    assert cut in three.damage()
    objects.remove(cut)  # as the error says
    assert three.damage() == ""
    assert len(three.all("reviews")) == 2
    assert four.fingerprint("reviews") == three.fingerprint("reviews")


def test_a_store_that_is_away_stores_nothing_and_says_so(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, key = ("AWS_SECRET_ACCESS_KEY", SECRET) if store.startswith("s3") else (azure.KEY, AZURE)
    here = SharedDecisions(tmp_path / "reviews.sqlite", Objects(store))
    here.append(decision(1))
    monkeypatch.setenv(variable, "another" if key is SECRET else "YW5vdGhlcg==")
    refused = SharedDecisions(tmp_path / "reviews.sqlite", Objects(store))
    with pytest.raises(UserError, match=r"SYNTH_LAKE is (s3|az)://.*, which cannot be read or written"):
        refused.all("reviews")
    monkeypatch.setattr(refused, "_exchange", lambda recipe: None)  # it was there just before
    with pytest.raises(UserError, match=r"which cannot be read or written: is the store there") as said:
        refused.append(decision(2))
    assert key not in str(said.value)
    monkeypatch.setenv(variable, key)
    assert [each.decision_id for each in here.all("reviews")] == ["d1"]


def test_a_file_that_is_edited_on_one_machine_is_what_the_other_goes_by(machine: Machine) -> None:
    machine("one")
    recipe = load(Path("recipes/reviews.yaml"))
    file = review_file(recipe.reviews, "tone", "")
    assert write_review(file, "which tones?", ["calm", "angry"])
    as_written, before = file.read_text(), recipe.version("values")

    machine("two")
    there = review_file(load(Path("recipes/reviews.yaml")).reviews, "tone", "")
    assert there.read_text() == as_written
    there.write_text(as_written.replace("angry", "bitter"))
    after = load(Path("recipes/reviews.yaml")).version("values")
    assert after != before

    machine("one")
    assert was_edited(review_file(recipe.reviews, "tone", ""))
    assert load(Path("recipes/reviews.yaml")).version("values") == after
    assert not write_review(file, "which tones?", ["calm", "angry"])
    file.unlink()  # and it is as it was written again
    assert load(Path("recipes/reviews.yaml")).version("values") == before
    machine("two")
    assert not review_file(load(Path("recipes/reviews.yaml")).reviews, "tone", "").exists()


def test_a_file_that_was_edited_on_both_is_an_error_whose_advice_works(store: str, tmp_path: Path) -> None:
    folders = []
    for name in ("one", "two"):
        (tmp_path / name / "reviews.values").mkdir(parents=True)
        folders.append(
            (SharedFolders(Objects(store), tmp_path / name / "state"), tmp_path / name / "reviews.values")
        )

    def same(n: int) -> None:
        shared, folder = folders[n]
        shared.make_same(folder, None, lambda content: b"mine" in content, changed=True)

    one, two = (folder / "tone.yaml" for _, folder in folders)
    one.write_text("as written")
    same(0), same(1)
    one.write_text("mine: one")
    two.write_text("written anew")
    same(0), same(1)
    assert two.read_text() == "mine: one"  # what a person edited wins
    one.write_text("mine: first")
    two.write_text("mine: second")
    same(0)
    with pytest.raises(
        UserError, match=r"two/reviews.values/tone.yaml was edited here and on another machine"
    ):
        same(1)
    assert two.read_text() == "mine: second"
    two.unlink()
    same(1)
    assert two.read_text() == "mine: first"
    one.unlink()
    same(0), same(1)
    assert not two.exists()


def test_an_edit_in_the_same_second_and_of_the_same_size_is_seen(store: str, tmp_path: Path) -> None:
    folders = [tmp_path / name / "reviews.values" for name in ("one", "two")]
    shared = [SharedFolders(Objects(store), folder.parent / "state") for folder in folders]

    def same(n: int) -> str:
        shared[n].make_same(folders[n], None, lambda content: True, changed=True)
        return (folders[n] / "tone.yaml").read_text()

    folders[0].mkdir(parents=True)
    for text in ("calm", "cold", "warm"):  # a store keeps the second of a change, and its size
        (folders[0] / "tone.yaml").write_text(text)
        assert [same(0), same(1)] == [text, text]


def test_without_a_shared_lake_a_folder_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTH_LAKE", raising=False)
    assert home.shared(tmp_path / "any") == tmp_path / "any"
    assert not [path for path in tmp_path.iterdir() if path.name != os.curdir]
