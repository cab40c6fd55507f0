"""Long work says that it goes on."""

from __future__ import annotations

import threading

import pytest

from synth_assets.assets import going_on
from synth_assets.assets.going_on import GoingOn


def test_long_work_says_what_it_does_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going_on, "EVERY_SECONDS", 0.01)
    said, heard = list[str](), threading.Event()

    def say(words: str) -> None:
        said.append(words.partition(",")[0])
        if len(set(said)) == wanted:
            heard.set()

    wanted, work = 1, GoingOn(say)
    with work.doing("counts"):
        assert heard.wait(60)
        heard.clear()
        wanted = 2
        with work.doing("adds"):
            assert heard.wait(60)
            inside = said.index("adds")
    assert set(said[:inside]) == {"counts"}
    assert threading.active_count() == len([t for t in threading.enumerate() if t.name != "going on"])


def test_what_is_quick_says_nothing_and_what_fails_says_it() -> None:
    said = list[str]()
    with pytest.raises(ValueError, match="wrong"), GoingOn(said.append).doing("counts"):
        raise ValueError("wrong")
    assert said == []
