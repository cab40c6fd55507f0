"""The slow student: the encoder's own transformer, fine-tuned. Importing it is a UserError without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from synth_assets.core.errors import UserError
from synth_assets.core.text.pairs import MARK, parted
from synth_assets.core.text.utf8 import clean
from synth_assets.students import softmax
from synth_assets.students.crossfit import Labels, Weights, shares

try:
    import torch
    from safetensors.torch import load_file
    from torch.nn import functional
except ImportError as error:
    why = "student.by: transformer needs torch, which is not installed."
    raise UserError(f"{why} Fix: pip install 'synth-assets[torch]', or take another student.") from error

EPOCHS = 3
BATCH = 32
RATE = 5e-5  # of AdamW, falling to 0
MAX_TOKENS = 128
STEM = "encoder.layer"


class Transformer:
    """`fit(texts, labels, weights)`, then `predict_proba(texts)`: (n, K) in the order of `labels`.

    `folder` has config.json, tokenizer.json and model.safetensors of a BERT (Devlin et al. 2019). Above the
    mean of its tokens' vectors stands a softmax regression, fitted first; then all is tuned together (Kumar
    et al. 2022, "Fine-tuning can distort pretrained features"). The same rows give the same student.
    """

    def __init__(
        self, labels: Sequence[str], folder: Path, smoothing: float = 0.0, epochs: int = EPOCHS, seed: int = 0
    ) -> None:
        self.labels = sorted(labels)
        self._folder, self._smoothing, self._epochs, self._seed = folder, smoothing, epochs, seed
        self._network: _Network | None = None

    def fit(self, texts: Sequence[str] | np.ndarray, labels: Labels, weights: Weights = None) -> Transformer:
        """A label a text, or (n, K) probabilities of the labels."""
        wanted = softmax.smoothed(softmax.targets(labels, self.labels), self._smoothing)
        w = shares(weights, len(texts)) * len(texts)
        network = self._network = _Network(self._folder)
        ids = network.tokens(texts)
        vectors = np.concatenate([network.vectors(ids[i : i + BATCH]) for i in range(0, len(ids), BATCH)])
        network.stand(softmax.SoftmaxRegression(self.labels).fit(vectors, wanted, w).parameters)
        order = _batches(len(ids), self._epochs, self._seed)
        steps = self._epochs * -(-len(ids) // BATCH)
        descent = torch.optim.AdamW(network.parameters, lr=RATE)
        slower = torch.optim.lr_scheduler.LinearLR(descent, 1.0, 0.0, total_iters=steps)
        for rows in order:
            log_p = torch.log_softmax(network.scores([ids[i] for i in rows]), dim=1)
            entropy = -(torch.from_numpy(wanted[rows]) * log_p).sum(dim=1)
            descent.zero_grad()
            (torch.from_numpy(w[rows]) * entropy).mean().backward()
            descent.step()
            slower.step()
        return self

    def predict_proba(self, texts: Sequence[str] | np.ndarray) -> np.ndarray:
        if self._network is None:
            raise ValueError("fit comes before predict_proba")
        ids = self._network.tokens(texts)
        found = np.empty((len(ids), len(self.labels)), dtype=np.float32)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))  # like lengths together: little padding
        for begin in range(0, len(ids), BATCH):
            rows = order[begin : begin + BATCH]
            with torch.no_grad():
                found[rows] = torch.softmax(self._network.scores([ids[i] for i in rows]), dim=1).numpy()
        return found


def word_pieces(folder: Path, texts: Sequence[str] | np.ndarray, ends: bool = True) -> list[Encoding]:
    """Of each text, MAX_TOKENS at most; with `ends`, a BERT's marks before and after a text as well."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    whole = list(map(clean, texts))
    return tokenizer.encode_batch([parted(t) if MARK in t else t for t in whole], add_special_tokens=ends)


def _batches(n: int, epochs: int, seed: int) -> Iterator[np.ndarray]:
    draw = np.random.default_rng(seed)
    for _ in range(epochs):
        order = draw.permutation(n)
        yield from (order[begin : begin + BATCH] for begin in range(0, n, BATCH))


class _Network:
    """The transformer and what stands above it, in torch."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        if (kind := config.get("model_type", "bert")) != "bert":
            raise UserError(
                f"student.by: transformer tunes a bert, and the encoder is a {kind}: take another encoder, "
                "or another student."
            )
        self._layers, self._heads = config["num_hidden_layers"], config["num_attention_heads"]
        self._epsilon = config["layer_norm_eps"]
        found = load_file(folder / "model.safetensors")
        self._at = {n: t.float().requires_grad_() for n, t in found.items() if t.is_floating_point()}
        self._folder = folder

    @property
    def parameters(self) -> list[Any]:
        return list(self._at.values())

    def tokens(self, texts: Sequence[str] | np.ndarray) -> list[list[int]]:
        return [encoding.ids for encoding in word_pieces(self._folder, texts)]

    def stand(self, parameters: Any) -> None:
        """Puts a softmax regression (d + 1, K) above the transformer."""
        self._at["head"] = torch.from_numpy(parameters).clone().requires_grad_()

    def scores(self, ids: Sequence[Sequence[int]]) -> Any:
        """(n, K)."""
        return self._pooled(ids) @ self._at["head"][:-1] + self._at["head"][-1]

    def vectors(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """(n, d) of length 1."""
        with torch.no_grad():
            return self._pooled(ids).numpy()

    def _pooled(self, ids: Sequence[Sequence[int]]) -> Any:
        lengths = torch.tensor([len(i) for i in ids])
        width = int(lengths.max())
        padded = torch.tensor([[*i, *[0] * (width - len(i))] for i in ids])
        there = torch.arange(width) < lengths[:, None]  # (n, tokens)
        x = self._at["embeddings.word_embeddings.weight"][padded]
        x = x + self._at["embeddings.position_embeddings.weight"][:width]
        x = self._normal(x + self._at["embeddings.token_type_embeddings.weight"][0], "embeddings")
        for layer in range(self._layers):
            x = self._layer(x, there, f"{STEM}.{layer}")
        return functional.normalize((x * there[:, :, None]).sum(dim=1), dim=1)

    def _layer(self, x: Any, there: Any, name: str) -> Any:
        n, width, d = x.shape
        q, k, v = (
            self._linear(x, f"{name}.attention.self.{part}").view(n, width, self._heads, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None])
        seen = self._linear(seen.transpose(1, 2).reshape(n, width, d), f"{name}.attention.output.dense")
        x = self._normal(x + seen, f"{name}.attention.output")
        wide = functional.gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._normal(x + self._linear(wide, f"{name}.output.dense"), f"{name}.output")

    def _linear(self, x: Any, name: str) -> Any:
        return functional.linear(x, self._at[f"{name}.weight"], self._at[f"{name}.bias"])

    def _normal(self, x: Any, name: str) -> Any:
        gain, bias = self._at[f"{name}.LayerNorm.weight"], self._at[f"{name}.LayerNorm.bias"]
        return functional.layer_norm(x, x.shape[-1:], gain, bias, self._epsilon)
