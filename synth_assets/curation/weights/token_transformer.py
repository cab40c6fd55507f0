"""FewGen's weights of tokens with a transformer (Meng et al. 2023): what a word says of the label, in place.

As in `token_weights`, but a token's probability depends on those before it. The generators are one causal
transformer and for each label a prefix of vectors. FewGen starts from a large language model; here a small
one is trained on the rows with their labels, and then all prefixes start again from their mean, to be tuned
by weighted tokens: a transformer that never saw a label would not heed its prefix. Without torch, an extra of
the package, importing it is a UserError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synth_assets.core.errors import UserError
from synth_assets.students.crossfit import folds

try:
    import torch
    from safetensors import safe_open
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError as error:
    why = "token_transformer needs torch, which is not installed."
    raise UserError(f"{why} Fix: pip install 'synth-assets[torch]', or weigh by token_weights.") from error

from synth_assets.students.transformer import MAX_TOKENS, word_pieces

PREFIX = 10  # vectors of a label, as many as FewGen's
WIDTH = 64
HEADS = 4
BATCH = 64
STEPS = 60  # of the transformer; many more, and it knows a few hundred rows by heart
RATE = 3e-3
TUNING = 20  # steps of the prefixes and of the slope: as in `token_weights`, while they learn something
PREFIX_RATE = 1e-2
AHEAD_RATE = 1.0  # of the step whose effect on the discriminative loss the slope learns from
META_RATE = 0.1  # of the slope


def row_weights(
    texts: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[object],
    folder: Path,
    k: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """(n,): the mean weight of a row's tokens, which was learned on the other folds; the mean is 1.

    `folder` has tokenizer.json and model.safetensors of a BERT, whose word pieces and their vectors are used.
    """
    y, rows = _numbers(labels), _Rows(texts, folder)
    fold, weights = folds(groups, k, seed), np.ones(len(y))
    for f in np.unique(fold):
        out = np.flatnonzero(fold == f)
        rest = np.flatnonzero(fold != f)
        each = _Generators(rows, rest, y, seed).weights(out)
        weights[out] = [w.mean() if len(w) else 0.0 for w in each]
    return weights / weights.mean()


def token_weights(
    texts: Sequence[str], labels: Sequence[str], folder: Path, seed: int = 0
) -> list[list[tuple[str, float]]]:
    """The word pieces of each text and what they weigh in it; the mean over all tokens is 1."""
    rows, everyone = _Rows(texts, folder), np.arange(len(texts))
    each = _Generators(rows, everyone, _numbers(labels), seed).weights(everyone)
    return [list(zip(pieces, w.tolist(), strict=True)) for pieces, w in zip(rows.pieces, each, strict=True)]


def _numbers(labels: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(labels), return_inverse=True)[1]


class _Rows:
    """Texts as word pieces, which are numbered from 0, and the vectors of the pieces: (V, d)."""

    def __init__(self, texts: Sequence[str], folder: Path) -> None:
        found = word_pieces(folder, texts, ends=False)
        self.pieces = [encoding.tokens for encoding in found]
        used = np.unique([i for encoding in found for i in encoding.ids])
        self.ids = [torch.from_numpy(np.searchsorted(used, encoding.ids)) for encoding in found]
        with safe_open(folder / "model.safetensors", "pt") as tensors:
            vectors = tensors.get_tensor("embeddings.word_embeddings.weight")[used].float()
        self.vectors = (vectors - vectors.mean()) / vectors.std()

    def batch(self, rows: np.ndarray) -> tuple[Any, Any]:
        """Ids (n, T), and which of them are there."""
        ids = torch.nn.utils.rnn.pad_sequence([self.ids[i] for i in rows], batch_first=True, padding_value=-1)
        return ids.clamp(min=0), ids >= 0


class _Generators:
    """A causal transformer of one layer, the prefixes of the labels, and the slope of the weights."""

    def __init__(self, rows: _Rows, train: np.ndarray, y: np.ndarray, seed: int) -> None:
        self._rows, self._y = rows, torch.from_numpy(y)
        d = rows.vectors.shape[1]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._in, self._out = torch.nn.Linear(d, WIDTH), torch.nn.Linear(WIDTH, d)
            self._layer = torch.nn.TransformerEncoderLayer(
                WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
            )
            self._places = torch.randn(PREFIX + MAX_TOKENS, WIDTH).requires_grad_()
            prefix = torch.randn(PREFIX, WIDTH)
        self._bias = torch.zeros(len(rows.vectors), requires_grad=True)
        self._slope = torch.zeros(1, requires_grad=True)
        self._prefixes = prefix.repeat(int(y.max()) + 1, 1, 1).requires_grad_()
        self._train_transformer(_batches(train, STEPS, seed))
        with torch.no_grad():
            self._prefixes.copy_(self._prefixes.mean(dim=0))
        self._tune_prefixes(_batches(train, TUNING, seed))

    def _train_transformer(self, batches: Iterator[np.ndarray]) -> None:
        """On rows with their labels, and no weights; then only the prefixes learn."""
        modules = torch.nn.ModuleList([self._in, self._out, self._layer])
        body = [*modules.parameters(), self._places, self._bias]
        descent = torch.optim.Adam([*body, self._prefixes], lr=RATE)
        for batch in batches:
            descent.zero_grad()
            generative, _ = self._losses(self._prefixes, batch)
            generative.mean().backward()
            descent.step()
        for parameter in body:
            parameter.requires_grad_(False)

    def _tune_prefixes(self, batches: Iterator[np.ndarray]) -> None:
        descent = torch.optim.Adam([self._prefixes], lr=PREFIX_RATE)
        meta = torch.optim.Adam([self._slope], lr=META_RATE)
        for batch in batches:
            losses = self._losses(self._prefixes, batch)
            (step,) = torch.autograd.grad(self._weighted(*losses), self._prefixes, create_graph=True)
            harm = self._losses(self._prefixes - AHEAD_RATE * step, batch)[1].mean()
            (self._slope.grad,) = torch.autograd.grad(harm, self._slope, retain_graph=True)
            meta.step()
            (self._prefixes.grad,) = torch.autograd.grad(self._weighted(*losses), self._prefixes)
            descent.step()

    def weights(self, rows: np.ndarray) -> list[np.ndarray]:
        """Of the tokens of each row; the mean over all is 1."""
        found = []
        with torch.no_grad():
            for begin in range(0, len(rows), BATCH):
                found.append(self._losses(self._prefixes, rows[begin : begin + BATCH])[1])
            w = torch.softmax(self._slope * _standard(torch.cat(found)), dim=0)
        sizes = [len(self._rows.ids[i]) for i in rows]
        return [part.numpy() for part in (w * len(w)).split(sizes)]

    def _losses(self, prefixes: Any, rows: np.ndarray) -> tuple[Any, Any]:
        """Of each token of the rows, -log p(token | label), and the discriminative loss -log p(label | token)
        where all labels are as probable."""
        ids, there = self._rows.batch(rows)
        log_p = self._log_p(prefixes, ids)
        at = self._y[rows], torch.arange(len(rows))
        return -log_p[at][there], -torch.log_softmax(log_p, dim=0)[at][there]

    def _weighted(self, generative: Any, discriminative: Any) -> Any:
        w = torch.softmax(self._slope * _standard(discriminative.detach()), dim=0)
        return (w * generative).sum()

    def _log_p(self, prefixes: Any, ids: Any) -> Any:
        """(K, n, T): log-probability of each token after each prefix (K, P, WIDTH) and those before it."""
        (k, p, _), (n, width) = prefixes.shape, ids.shape
        x = self._in(self._rows.vectors[ids[:, :-1]])
        x = torch.cat([prefixes[:, None].expand(-1, n, -1, -1), x.expand(k, -1, -1, -1)], dim=2).flatten(0, 1)
        x = x + self._places[: p + width - 1]
        mask = torch.nn.Transformer.generate_square_subsequent_mask(p + width - 1)
        with sdpa_kernel(SDPBackend.MATH):  # it has second derivatives
            h = self._layer(x, src_mask=mask, is_causal=True)[:, p - 1 :]
        scores = self._out(h) @ self._rows.vectors.T / self._rows.vectors.shape[1] ** 0.5 + self._bias
        log_p = torch.log_softmax(scores, dim=-1).unflatten(0, (k, n))
        return log_p.gather(-1, ids.expand(k, -1, -1)[..., None])[..., 0]


def _standard(loss: Any) -> Any:
    """With mean 0 and deviation 1."""
    return (loss - loss.mean()) / loss.std(correction=0).clamp(min=1e-6)


def _batches(rows: np.ndarray, steps: int, seed: int) -> Iterator[np.ndarray]:
    draw = np.random.default_rng(seed)
    for _ in range(steps):
        yield draw.choice(rows, size=min(BATCH, len(rows)), replace=False)
