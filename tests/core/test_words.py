"""One way to cut words: marks are of the word, scripts without spaces are parted, plain text is as ever."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from synth_assets.contracts.filter import Context
from synth_assets.core.text import words as cut
from synth_assets.core.text.normal_form import normal_form
from synth_assets.curation.filters.duplicates import Novelty
from synth_assets.curation.filters.rules import DistinctWords, LeakedLabel, Words
from synth_assets.curation.likeness.runs import distinct_words, word_counts
from synth_assets.evaluation.diversity import vocabulary_size
from synth_assets.evaluation.task_metrics import rouge_l, token_f1
from synth_assets.generation.conditions.knowledge import Index

ORDINARY = {
    "Hindi": ("यह फिल्म बहुत अच्छी थी और कहानी भी मज़ेदार थी", 10),
    "Tamil": ("இந்தப் படம் மிகவும் நன்றாக இருந்தது", 5),
    "Bengali": ("এই সিনেমাটি খুব ভালো ছিল", 5),
    "Thai": ("หนังเรื่องนี้สนุกมากและนักแสดงเล่นได้ดี", 10),
    "Chinese": ("我昨天在北京的一家小餐馆吃了一碗牛肉面，服务员也很热情。", 18),
    "Chinese, traditional": ("這部電影是正面的評價，我很喜歡", 10),
    "Japanese": ("この映画はとても面白かったので、もう一度見たいと思います。", 8),
    "Khmer": ("ខ្ញុំចូលចិត្ត", 5),
    "Korean": ("이 영화는 정말 재미있었습니다", 4),
    "Russian": ("Этот фильм мне очень понравился", 5),
}
PLAIN = [
    "It's the dogs' day, x_y's 3,5 % off!",
    "Über die Straße geht’s: naïve Fußgänger – “Zitat” … déjà vu",
    "emoji 1️⃣ ❤️ 👍🏽 and Привет, мир; α-helix",
    "",
]


@pytest.mark.parametrize("language", ORDINARY)
def test_an_ordinary_sentence_has_its_words_and_is_not_repetitive(language: str) -> None:
    text, count = ORDINARY[language]
    assert len(cut.words(text)) == count
    (share,) = distinct_words([text])
    assert share is not None
    assert share >= 0.81
    assert share == DistinctWords().value(text, Context({}))
    assert word_counts([text]) == [Words().value(text, Context({}))]
    assert len(cut.rouge_words(text)) == count
    assert vocabulary_size([text]).value == len(set(cut.tokens(text)))


@pytest.mark.parametrize("text", PLAIN)
def test_text_without_marks_and_with_spaces_is_cut_as_before(text: str) -> None:
    assert cut.parted(text) is text
    assert cut.words(text) == re.findall(r"\w+(?:['’]\w+)*", text.casefold())
    assert cut.tokens(text) == re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", text.lower())
    assert cut.tokens(text, cut.RUN) == re.findall(r"\w+|[^\w\s]", text.lower())
    assert cut.runs(text) == re.findall(r"\w+", text.casefold())
    assert cut.rouge_words(text) == re.findall("[a-z0-9]+", text.lower())
    assert word_counts([text]) == [len(text.split())]


def test_what_repeats_and_what_leaks_is_found_in_chinese() -> None:
    assert distinct_words(["好吃" * 10]) == [0.1]
    leaks = LeakedLabel()
    context = Context({"正面": "正面", "negative": "负"})
    texts = ["这部电影是正面的评价", "负债很多，非常好看", "It is negative"]
    assert [leaks.value(text, context) for text in texts] == [1, 0, 1]
    rows = pd.DataFrame({"text": texts})
    assert leaks.measure(rows, context) == {"leaked_label": [1, 0, 1]}


def test_texts_that_share_a_number_are_not_the_same() -> None:
    known, text = "我在北京用了 ATM 2024 取款", "这部电影真是太精彩 ATM 2024"
    (score,) = Novelty().measure(pd.DataFrame({"text": [text]}), Context({}, [known]))["seed_rouge_l"]
    assert 0 < score < 0.5
    assert rouge_l([text], [[text]]).value == 1
    assert 0 < (rouge_l([text], [[known]]).value or 0) < 0.5
    assert 0.5 < (token_f1(["我很喜欢这部电影"], [["我喜欢这部电影"]]).value or 0) < 1


def test_marks_part_no_word_that_is_looked_for() -> None:
    index = Index(["हिन्दी में", "हिन्दू धर्म", "ภาษาไทย สนุกมาก", "这部电影"])
    assert [place for place, _ in index.search("हिन्दी", 2)] == [0]
    assert [place for place, _ in index.search("สนุก", 2)] == [2]
    assert [place for place, _ in index.search("电影", 2)] == [3]


def test_copies_in_thai_are_told_by_their_signs() -> None:
    assert normal_form("สนุกมาก") == "ส นุ ก ม า ก"
