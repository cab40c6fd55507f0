"""Filters of one text: what each finds; and many texts get, quickly, what each gets by itself."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from synth_assets.contracts.filter import Context, RowFilter
from synth_assets.core.registry import FILTERS
from synth_assets.curation.filters.language import _identifier
from synth_assets.curation.filters.naive_bayes import of_language
from synth_assets.curation.filters.phrases import Boilerplate, Refusal
from synth_assets.curation.filters.screens import FOLDED, seen
from synth_assets.curation.keep import keep
from synth_assets.curation.likeness.duplicates import ngram_overlap

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "gold_text"
NASTY = [
    *("", " ", "\n", "\xa0", "\x1c", "\x00 null", "a", "😀", "😀 😀 👍🏽", "... !!! ???", "— — — — — — — —"),
    *(
        "it's the dogs' rock'n'roll ''quoted'' it’s",
        "'tis 'twas",
        "a_b _ __",
        "one two\u2003three\u3000four\x85five",
    ),
    *(
        "the the THE The tHe",
        "straße STRASSE Strasse",
        "ﬁne ﬁlm",
        "İstanbul ıssız",
        "\u212aill the \u017fad poſitive man",
    ),
    *(
        "天气很好，我们去公园吧",
        "テスト 文章",
        "ครับ สวัสดี",
        "Привет, как дела?",
        "ВСЕ БУКВЫ",
        "ALL UPPER CASE",
    ),
    *("e\u0301te\u0301 été", "soft\u00adhyphen zero\u200bwidth", "x" * 5000, "word " * 400, "½ ² ٣ ५ １２３"),
    *(
        "Sure! Here is a list",
        "I'm sorry, as an AI language model I cannot help",
        "I'M UNABLE to",
        "ı'm ſorry",
    ),
    *("here are some very short and naïve reviews", "here is a truly ,, review", "Here's a short review: ok"),
    *(
        "write a program that draws",
        "Write\n a  program",
        "¡draw!",
        "  draw a map",
        "\x1f!go\n to the files",
        "1 2 3",
    ),
    *(
        "[Your Name] wrote {{ title }}",
        "[director] byler may yet",
        "Lorem ipsum dolor",
        "hope [City, State] helps",
    ),
    *(
        "a Positive view",
        "positives",
        "non-positive; negative",
        "very_good very good",
        "(very, good)",
        "very\ngood",
    ),
    *("what a d!ck, shit and SHIT", "class pass assassin", "s&m 🖕", "éass assé", "2 girls 1 cup"),
    *(
        "write to jo@example.org",
        "call (415) 555-2671",
        "call ４１５-５５５-２６７１ now",
        "078-05-1121",
        "DE89370400440532013000",
    ),
    *(
        "one two three four five six",
        "One, TWO; three: four five six!",
        "zero one two three four five six seven",
    ),
]
CONTEXT = Context(
    verbalizers={"negative": "negative", "positive": "positive", "vg": "very_good"},
    demonstrations=[
        "one two three four five six",
        "a short one",
        "😀 😀 👍🏽",
        "",
        "été à la mer, on y va tous ensemble",
    ],
    held_out=["zero one two three four five six seven eight nine", "the end", "... !!! ???"],
)
RULES = {
    **{
        name: {}
        for name in ("words", "distinct_words", "refusal", "leaked_label", "instruction_rules", "language")
    },
    **{name: {} for name in ("personal_data", "profanity", "boilerplate", "copied_ngram", "contamination")},
    "pattern": {"pattern": r"\w.*"},
}


def table(texts: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"text": list(texts)}, dtype="str")


def rule(name: str, **given: object) -> RowFilter:
    found = FILTERS.find(name).model_validate({**RULES.get(name, {}), **given})
    assert isinstance(found, RowFilter)
    return found


def scores(name: str, *texts: str, context: Context = CONTEXT, **given: object) -> list:
    return rule(name, **given).measure(table(texts), context)[name]


def plain(name: str, texts: Sequence[str], context: Context) -> list:
    """What the filter says of each text by itself."""
    if name in ("copied_ngram", "contamination"):
        references = context.demonstrations if name == "copied_ngram" else context.held_out
        return ngram_overlap(texts, references, rule(name).n)  # type: ignore[attr-defined]
    return [rule(name).value(text, context) for text in texts]


@pytest.mark.parametrize("name", list(RULES))
def test_many_texts_get_what_each_gets_by_itself(name: str) -> None:
    texts = [
        *NASTY,
        *(f"{a} {b}" for a, b in zip(NASTY, reversed(NASTY), strict=True)),
        *map(str.upper, NASTY),
    ]
    assert scores(name, *texts) == plain(name, texts, CONTEXT)
    assert scores(name) == []


@pytest.mark.parametrize("name", ["leaked_label", "copied_ngram", "contamination"])
def test_labels_that_are_not_ascii_and_no_references(name: str) -> None:
    for labels in ({}, {"gut": "groß", "böse": "übel"}, {"+": "plus"}):
        context = Context(verbalizers=labels)
        texts = [*NASTY, "das ist GROSS und gut", "übel"]
        assert scores(name, *texts, context=context) == plain(name, texts, context)


def test_every_sign_that_folds_to_ascii_is_let_through() -> None:
    folded = [c for c in map(chr, range(128, sys.maxunicode + 1)) if any(x.isascii() for x in c.casefold())]
    found = [text for _, text in seen(table([*folded, "k", "s", "é"])["text"], f"(?i){FOLDED}")]
    assert found == [*folded]


def test_a_compiled_loop_names_the_same_languages() -> None:
    texts = [*NASTY, "der Film ist leider viel zu lang", "zdravo svete, kako si danas"]
    for code in ("en", "de", "sr", "zh", "qu"):
        expected = [rule("language", language=code).value(text, CONTEXT) for text in texts]
        assert of_language(texts, code, _identifier()).tolist() == pytest.approx(expected, abs=1e-5)
    assert of_language([], "en", _identifier()).tolist() == []
    with pytest.raises(ValidationError, match=r"unknown language 'english'\. .*Known: ace, af, .*, en, "):
        rule("language", language="english")


def real(name: str) -> list[str]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    text = path.read_text(encoding="utf-8", errors="replace")
    if name.endswith(".csv"):
        return [f"{row[1]}. {row[2]}" for row in csv.reader(text.split("\n")) if row]
    return [line.partition(" ")[2] for line in text.split("\n") if line]


def test_real_texts_get_the_same_too_and_hold_no_boilerplate() -> None:
    names = ["rt-polarity.all", "subj.all", "TREC.train.all", "ag_news_test.csv"]
    texts = [text for name in names for text in real(name)]
    some = texts[::80]
    for quick in RULES:
        of = some[::20] if quick == "pattern" else some  # by itself, each text takes a process
        assert scores(quick, *of) == plain(quick, of, CONTEXT), quick
    expected = [rule("language").value(text, CONTEXT) for text in some]
    assert of_language(some, "en", _identifier()).tolist() == pytest.approx(expected, abs=1e-5)
    assert sum(score > 0 for score in scores("boilerplate", *texts)) < len(texts) / 1000


@pytest.mark.parametrize(
    ("country", "text", "found"),
    [
        ("US", "Write to jo.doe+news@mail.example.org or ann@example.com.", "e-mail address (2)"),
        ("US", "Call (415) 555-2671 or +49 30 901820 today", "telephone number (2)"),
        ("DE", "Ruf an: 030 901820", "telephone number (1)"),
        ("US", "Pay to DE89 3704 0044 0532 0130 00, please", "bank account (1)"),
        ("US", "my card is 4111 1111 1111 1111", "card (1)"),
        ("US", "I ping 8.8.8.8 and 2001:4860:4860::8888", "IP address (2)"),
        ("US", "her number is 078-05-1121", "identity number (1)"),
        ("IT", "codice fiscale RCCMNL83S18D969H", "identity number (1)"),
        ("US", "at 192.168.1.1 it is 10:30:15 on 2004-08-12, 25,000,000 saw 1:2", ""),
        ("US", "card 4111 1111 1111 1112, account DE89 3704 0044 0532 0130 01", ""),
        ("US", "a 1999-2001 study of 1,234,567 people scored 12.5.3", ""),
    ],
)
def test_personal_data_is_named_by_its_kind_and_never_said(country: str, text: str, found: str) -> None:
    private = rule("personal_data", country=country)
    assert private.why({"text": text}) == found
    measured = private.measure(table([text]), CONTEXT)["personal_data"]
    assert measured == [sum(int(n) for n in found if n.isdigit())]


def test_a_dropped_row_says_which_words_and_which_phrases() -> None:
    text = "Sure! Here is my shitty poem for [Insert name]. Shitty, isn't it? I hope this helps!"
    rows = table([text]).assign(profanity=scores("profanity", text), boilerplate=scores("boilerplate", text))
    _, dropped = keep(rows, [rule("profanity")], CONTEXT)
    assert dropped["reason"].tolist() == ["profanity 2, wanted at most 0: shitty"]
    _, dropped = keep(rows, [rule("boilerplate")], CONTEXT)
    assert dropped["reason"].tolist() == [
        "boilerplate 3, wanted at most 0: an opening ('Sure!'), a closing ('I hope this helps'), "
        "a gap to fill in ('[Insert name]')"
    ]


def test_profane_words_of_other_languages() -> None:
    assert scores("profanity", "So eine SCHEISSE!", "die Scheiße", "ein Film", language="german") == [1, 1, 0]
    assert scores("profanity", "他是个傻逼吗", "天气很好", language="chinese") == [1, 0]
    with pytest.raises(
        ValidationError, match=r"no list of profane words for 'en': take one of arabic, .*english"
    ):
        rule("profanity", language="en")


def test_a_pattern_is_matched_by_the_whole_text() -> None:
    assert scores("pattern", "Q: why?", "say Q: why?", "Q: why? ", pattern=r"Q: .*\?") == [1, 0, 0]
    assert rule("pattern").threshold() == "at least 1"
    with pytest.raises(ValidationError, match=r"'Q: \(' is no regular expression: missing \), unterminated"):
        rule("pattern", pattern="Q: (")


def test_a_country_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"'USA' is no country of ISO 3166 .*US"):
        rule("personal_data", country="USA")


def test_contamination_is_the_share_of_ngrams_that_are_held_out() -> None:
    held_out = ["The quick brown fox jumps over the lazy dog.", "Good film"]
    context = Context(verbalizers={}, held_out=held_out)
    texts = ["A QUICK brown fox, jumps over the lazy dog", "the quick brown fox", "good film!", "quite new"]
    assert scores("contamination", *texts, context=context) == [0.5, 0, 1, 0]
    assert scores("contamination", *texts, context=context, n=9) == [0, 0, 1, 0]
    assert scores("contamination", *texts, context=Context(verbalizers={})) == [0, 0, 0, 0]


def test_texts_in_several_chunks_are_looked_at_as_one() -> None:
    """As pandas leaves them when tables are put together."""
    rows = pd.concat(
        [pd.DataFrame({"text": ["As an AI, no."]}), pd.DataFrame({"text": ["a fine film", "as an AI"]})]
    )
    found = FILTERS.find("refusal").model_validate({}).measure(rows, CONTEXT)
    assert [bool(n) for n in found["refusal"]] == [True, False, True]


def test_each_word_that_names_a_label_is_counted_once() -> None:
    looks = Context(verbalizers={"Positive": "positive", "not_good": "bad"})
    rule = FILTERS.find("leaked_label")()
    texts = ["positive", "bad bad", "bad, bad and bad", "it is not good", "goodness", "POSITIVE!"]
    assert [rule.value(text, looks) for text in texts] == [1, 2, 3, 1, 0, 1]  # type: ignore[attr-defined]


PHRASES = {  # what an assistant says, and what a person says
    "ar": ("بصفتي نموذج لغوي، لا أستطيع تقديم ذلك", "كان الفيلم رائعًا وأعجبني كثيرًا"),
    "de": ("Als KI-Sprachmodell kann ich das nicht.", "Als Kind mochte ich den Film, hier ist alles gut."),
    "es": ("Como modelo de lenguaje, no tengo opinión.", "Como iba diciendo, no puedo dejar de verla."),
    "fr": ("En tant qu'IA, je ne vois pas de films.", "En tant que spectateur, j'ai adoré ce film."),
    "hi": ("एक भाषा मॉडल के रूप में मैं फिल्म नहीं देखता", "यह फिल्म बहुत अच्छी थी"),
    "ja": ("申し訳ありませんが、お答えできません。", "とても面白い映画でした。"),
    "ko": ("죄송하지만 그 내용은 제공할 수 없습니다.", "정말 재미있는 영화였습니다."),
    "pt": ("Como um modelo de linguagem, não tenho opinião.", "Como uma criança, ri o filme todo."),
    "ru": ("Как языковая модель, я не смотрю фильмы.", "Как всегда, фильм отличный, вот и всё."),
    "zh": ("作为一个AI语言模型，我无法提供电影评论。", "这部电影非常精彩，我很喜欢。"),
}
CHAT = {
    "ar": "بالتأكيد! إليك مراجعة",
    "de": "Natürlich! Hier ist eine Rezension",
    "es": "¡Claro! Aquí tienes una reseña",
    "fr": "Bien sûr ! Voici une critique",
    "hi": "ज़रूर! यहाँ एक समीक्षा",
    "ja": "もちろんです。以下がレビューです",
    "ko": "물론입니다! 다음은 리뷰입니다",
    "pt": "Claro! Aqui está uma resenha",
    "ru": "Конечно! Вот отзыв",
    "zh": "当然！以下是一篇影评",
}


@pytest.mark.parametrize("language", PHRASES)
def test_phrases_of_a_language_are_found_once_it_is_named(language: str) -> None:
    """By the quick pass of RE2 and by Python's own alike; English ones are found in any."""
    texts = [*PHRASES[language], CHAT[language], "As an AI, I cannot help."]
    rows = pd.DataFrame({"text": texts})
    here, english = Refusal(language=language), Refusal()
    found = here.measure(rows, Context({}))["refusal"]
    assert found == [here.value(text, Context({})) for text in texts]
    assert [found[0] > 0, found[1], found[3] > 0] == [True, 0, True]
    assert english.measure(rows.head(3), Context({})) == {"refusal": [0, 0, 0]}
    chat = Boilerplate(language=language)
    assert chat.measure(rows.iloc[1:3], Context({}))["boilerplate"] == [0, 1]
    assert "an opening" in chat.why({"text": CHAT[language]})


def test_a_pattern_that_takes_too_long_leaves_its_row_unknown_and_says_so() -> None:
    rule = FILTERS.find("pattern").model_validate({"pattern": r"(\w+\s?)+$"})
    texts = {"right": "word word", "stuck": "word " * 30 + "!", "wrong": "!"}
    rows = pd.DataFrame({"row_id": list(texts), "text": list(texts.values())})
    rows = rows.assign(**rule.measure(rows, Context({})))
    assert rows["pattern"].isna().tolist() == [False, True, False]
    assert rule.untold(rows).startswith("the pattern takes longer than 1 s on 1 rows, first on stuck: ")
    kept, dropped = keep(rows, [rule], Context({}))
    assert list(kept["row_id"]) == ["right"]
    assert list(dropped["reason"]) == [
        "pattern is unknown, wanted at least 1: the pattern takes longer than 1 s",
        "pattern 0, wanted at least 1",
    ]


@pytest.mark.parametrize("text", ["7" * 100_000, "a@" * 50_000, "a." * 50_000, "me@x.de " * 12_000])
def test_personal_data_is_looked_for_in_time_that_grows_with_the_text(text: str) -> None:
    assert scores("personal_data", text) == [12_000 if "x.de" in text else 0]  # it was minutes
