"""The review page without a browser: what is stored, what is shown, and who is sent away."""

from __future__ import annotations

import re

import pytest

from synth_assets.contracts.decision import Decision
from synth_assets.core.errors import UserError
from synth_assets.resources import home
from synth_assets.review.server import FOLD, Site, listening
from tests.review.made_up import LABELS, ROUND, SPANS, Person, desk, recipe, stored, write

pytestmark = pytest.mark.usefixtures("project")
TEXTS = [f"review number {n}" for n in range(6)]
TURNED = "ab\u202ecd"


def site(section: str = "{gold: 0, double: 0}", token: str | None = None, **of: object) -> Site:
    return Site(desk(recipe(section), TEXTS, **of), token, "ana")


def without_ids(page: str) -> str:
    return re.sub(r'name="(secret|decision_id)" value="[^"]*"', "", page)


def test_an_answer_is_stored_once_with_its_draw_and_the_next_row_is_shown() -> None:
    ana = Person(site())
    first = ana.field("row_id")
    form = ana.form(value="negative", note="dull")
    for _ in range(2):  # the second time the client only has no answer to the first
        ana.took(ana.client.post("/answer", data=form, headers={"X-Page": "1"}))
    assert stored() == [(first, "label", "negative")]
    assert ana.field("row_id") not in ("", first)
    (decision,) = home.decisions().all("reviews")
    assert (decision.person, decision.seconds, decision.note, decision.round) == ("ana", 4.5, "dull", ROUND)
    assert decision.draw == "random"
    assert decision.probability == 1.0
    assert not decision.saw_suggestion


def test_the_model_s_answer_is_on_no_page_before_the_person_s() -> None:
    other, ana = Person(site(label="negative")), Person(site(label="positive"))
    assert without_ids(ana.page) == without_ids(other.page)
    ana.answers("negative")
    assert "The row has" not in ana.page
    assert "positive" not in ana.notice
    ana.send(do="reveal")
    assert ana.notice.startswith("You said negative; the row has positive.")
    ana.undoes()
    ana.answers("positive")
    assert [each.saw_suggestion for each in home.decisions().current("reviews")] == [True]


def test_what_is_suggested_is_stored_and_never_measures() -> None:
    ana = Person(site("{gold: 0, double: 0, show: suggestion}"))
    assert "The row has: <b>positive</b>" in ana.page
    ana.answers("positive")
    (decision,) = home.decisions().all("reviews")
    assert decision.saw_suggestion
    assert decision.suggestion == "positive"
    assert not decision.measures


def test_undo_goes_back_across_rows_and_takes_back_what_was_skipped_and_edited() -> None:
    ana = Person(site())
    first = ana.field("row_id")
    ana.answers("negative")
    second = ana.field("row_id")
    ana.send(do="text", value="a better text")
    assert ana.field("row_id") == second
    assert "a better text" in ana.page
    ana.send(do="skip")
    for row in (second, second, first):
        ana.undoes()
        assert ana.field("row_id") == row
    assert "a better text" not in ana.page
    ana.undoes()
    assert ana.status == 409
    assert "nothing to undo" in ana.notice
    assert [kind for _, kind, _ in stored()] == ["label", "text", "skip", "undo", "undo", "undo"]
    assert home.decisions().current("reviews") == []


def test_the_page_goes_on_where_it_was_when_it_and_the_server_are_started_again() -> None:
    ana = Person(site())
    ana.answers("negative")
    row = ana.field("row_id")
    ana.look()
    assert ana.field("row_id") == row
    later = Person(site(), browser=ana)
    assert later.field("row_id") == row
    assert "1 answered, 5 left" in " ".join(later.page.split())


def test_two_windows_on_one_row_and_two_people_in_one_queue() -> None:
    of = site()
    ana = Person(of)
    other = Person(of, browser=ana)
    assert other.field("row_id") == ana.field("row_id")
    ana.answers("negative")
    other.answers("positive")
    assert other.status == 409
    assert "in another window (negative), which stays" in other.notice
    ben, rows = Person(of, "ben"), []
    for person in (ana, ben) * 3:
        person.look()
        if row := person.field("row_id"):
            rows.append(row)
            person.answers("positive")
    assert len(rows) == len({*rows}) == 5 == len(stored()) - 1
    assert "That was all" in ana.look()


def test_what_is_not_known_or_no_answer_is_refused_and_the_next_row_is_there() -> None:
    ana = Person(site())
    for status, wrong in (
        (404, {"row_id": "../../etc/passwd", "value": "negative"}),
        (400, {"value": "no such label"}),
        (400, {"value": ["negative", "positive"]}),
        (400, {"value": "negative", "decision_id": "1"}),
        (400, {"value": "negative", "do": "delete"}),
        (400, {"do": "text", "value": " "}),
        (409, {"do": "undo"}),
        (409, {"do": "reveal"}),
    ):
        ana.send(**wrong)
        assert ana.status == status, wrong
        assert ana.notice
        assert ana.field("row_id")
    assert stored() == []


def test_hidden_rows_look_like_others_and_are_counted() -> None:
    of = recipe("{gold: 0.5, double: 0}")
    seeds = [
        {"row_id": f"s{n}", "text": f"seed {n}", "label": "negative", "split": "validation"} for n in range(3)
    ]
    write(of, "seeds", seeds)
    ana = Person(Site(desk(of, TEXTS), None, "ana"))
    for _ in range(9):
        assert ("seed" in ana.page) == ana.field("row_id").startswith("s")
        assert "gold" not in ana.page
        ana.answers("negative")
    assert "That was all" in ana.page
    draws = [each.draw for each in home.decisions().all("reviews")]
    assert draws.count("gold") == 3
    assert draws[0] != "gold"
    assert "That was all" in ana.look()


def test_agreement_is_told_after_each_ten() -> None:
    ana = Person(Site(desk(recipe(), [f"review {n}" for n in range(12)]), None, "ana"))
    for n in range(10):
        assert "Agrees" not in ana.page
        ana.answers("negative" if n < 3 else "positive")
    assert "Agrees with the labels in 7 of 10." in " ".join(ana.page.split())


def test_the_time_of_a_person_ends_and_too_fast_is_said_and_not_stopped() -> None:
    ana = Person(site("{gold: 0, double: 0, minutes: 1}"))
    ana.answers("negative", seconds="0.1")
    assert "That was quick" in ana.notice
    assert len(stored()) == 1
    assert "1 minute left" in ana.page
    ana.answers("negative", seconds="nan")
    ana.answers("negative", seconds="70")
    assert "Your time is up" in ana.page
    assert "3 answers of yours are stored" in ana.page
    assert "1 came faster than anybody reads" in ana.page
    ana.undoes()
    assert "Your time is up" in ana.page


def test_several_labels_spans_ratings() -> None:
    ana = Person(Site(desk(recipe("{gold: 0}", LABELS), TEXTS[:2]), None, "ana"))
    ana.answers("actors", "plot")
    ana.answers()
    assert [value for *_, value in stored()] == [["plot", "actors"], []]

    ana = Person(Site(desk(recipe("{gold: 0}", SPANS), ["Ann sings in Rome."] * 2), None, "ben"))
    for wrong in ('[[0,3,"person"],[2,9,"place"]]', '[[0,99,"person"]]', '[[0,3,"dog"]]', "[[[", "7", ""):
        ana.answers(wrong)
        assert ana.status == 400, wrong
    ana.answers('[[13,17,"place"],[0,3,"person"]]')
    assert stored()[-1][2] == [[0, 3, "person"], [13, 17, "place"]]

    ana = Person(site("{ask: rating}"))
    ana.answers("3")
    assert stored()[-1][1:] == ("rating", 3)


def test_whatever_a_row_holds_is_text() -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}</div>"
    ana = Person(Site(desk(recipe(), [hostile]), None, "ana"))
    assert "<script>alert" not in ana.page
    assert "<img" not in ana.page
    assert "&lt;script&gt;alert(1)" in ana.page
    assert "{{ 7 * 7 }}" in ana.page
    ana = Person(Site(desk(recipe(), [TURNED]), None, "ana"))
    assert 'ab<span class="sign">U+202E</span>cd' in ana.page


def test_a_long_text_is_folded_and_its_length_is_told() -> None:
    ana = Person(Site(desk(recipe(), ["x" * 1_000_000]), None, "ana"))
    assert len(ana.page) < 3 * FOLD
    assert "The first 4,000 of 1,000,000 characters" in ana.page
    assert "<textarea" not in ana.page
    assert len(ana.look("/?whole")) > 1_000_000


def test_a_form_of_another_page_and_a_name_of_another_machine_are_sent_away() -> None:
    ana = Person(site())
    ana.send(value="negative", secret="guessed")
    assert ana.status == 403
    assert "nothing was stored" in ana.notice
    ana.look()
    assert ana.took(
        ana.client.post("/who", data={"person": "eve"}, headers={"Origin": "http://evil.example"})
    )
    assert ana.status == 403
    for host in ("evil.example:3100", "127.0.0.1.evil.example", "", "[::"):
        assert ana.client.get("/", headers={"Host": host}).status_code in (400, 421), host
    for host in ("localhost:3100", "127.0.0.1:9", "[::1]:3100"):
        assert ana.client.get("/", headers={"Host": host}).status_code == 200, host
    assert stored() == []


def test_each_answer_tells_the_browser_what_the_page_may_do_and_no_path_reaches_a_file() -> None:
    ana = Person(site())
    for path in (
        "/",
        "/who",
        "/page.js",
        "/nothing",
        "/../server.py",
        "/%2e%2e/server.py",
        "/page.js/../server.py",
    ):
        answer = ana.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "import hashlib" not in answer.text
    (cookie,) = ana.client.cookies.jar
    assert cookie.name == "synth_review_3100"
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "lax"


def test_others_come_with_a_token_alone() -> None:
    of = site(token="open sesame")
    ana = Person(of)
    assert "Who are you?" in ana.page
    assert "review number" not in ana.page
    ana.took(ana.client.post("/who", data={"person": "ana", "token": "guessed"}))
    assert ana.status == 403
    assert "SYNTH_REVIEW_TOKEN" in ana.page
    ana.client.cookies.set("synth_review_3100", "ana.secret.signed-by-nobody")
    assert "Who are you?" in ana.look()
    ana.took(ana.client.post("/who", data={"person": "ana", "token": "open sesame"}))
    assert "review number" in ana.page
    assert "open sesame" not in ana.page


def test_a_page_for_other_machines_needs_a_token_and_a_port_that_is_free() -> None:
    with pytest.raises(UserError, match=r"--host 0.0.0.0 lets other machines .* set SYNTH_REVIEW_TOKEN"):
        listening("0.0.0.0", 0, None)
    with listening("0.0.0.0", 0, "secret"), listening("127.0.0.1", 0, None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"--port {port} of 127.0.0.1: Address already in use.* {port + 1}"
        ):
            listening("127.0.0.1", port, None)


def test_of_two_new_texts_the_first_one_holds_again_when_the_second_is_taken_back() -> None:
    of = site()
    ana = Person(of)
    for text in ("a new text", "a newer one"):
        ana.send(do="text", value=text)
    later = Person(site(), browser=ana)  # a server that was not there
    assert "a newer one" in later.page
    later.undoes()
    assert "a new text" in later.page
    later.undoes()
    assert "review number" in later.page


def test_a_row_of_the_control_that_was_chosen_before_is_asked_about_again() -> None:
    of = site()
    before = [("r0", "negative", "chosen"), ("r1", "gone", "random"), ("r2", "positive", "random")]
    for row, value, draw in before:
        said = {"kind": "label", "value": value, "draw": draw, "probability": 1.0}
        home.decisions().append(Decision(f"d-{row}", "reviews", row, ROUND, "ana", **said))
    ana, asked = Person(of), []
    while row := ana.field("row_id"):
        asked.append(row)
        ana.answers("positive")
    assert sorted(asked) == ["r0", "r1", "r3", "r4", "r5"]  # of r1, a label was said that there is no more
    assert {each.draw for each in home.decisions().current("reviews")} == {"random"}
    assert (of.desk.held.people["ana"].answers, of.desk.queue.left) == (6, 0)
