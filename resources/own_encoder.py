"""An encoder of the user's: a folder of sentence-transformers, an ONNX model, or a name on the hub.

A folder of sentence-transformers has modules.json, which names its parts: a transformer, a pooling and, in
some, more. What is a BERT or a relative of it, pooled by mean or first token, runs in numpy (bert.py); an
ONNX model by onnxruntime; anything else by the package sentence-transformers. Vectors have length 1.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.core.identity import tagged_hash
from synth_assets.core.text.utf8 import clean
from synth_assets.resources import bert
from synth_assets.resources.encoder import MiniLM, Model
from synth_assets.resources.storage.files import digest

if TYPE_CHECKING:
    import numpy as np

ONNX = ("onnx/model.onnx", "model.onnx")
BATCH = 32  # texts
LONGEST = 512  # tokens of a text, where nothing says how many


def chosen(name: str | None, usual: Any) -> Any:
    """The encoder of this process by the name that a recipe has for it; the usual one where it has none."""
    if not name:
        return usual
    return _named(name, digest(Path(name).expanduser()), getattr(usual, "store", None))


@cache
def _named(name: str, of: str | None, store: Callable[[], Path | None] | None) -> Own:
    """Another one where what is in the folder (`of`) is another model."""
    return Own(name, store=store)


class Own(MiniLM):
    """The encoder that a recipe names: the path of a folder, or a model on the hub."""

    def __init__(
        self,
        name: str,
        threads: int | None = None,
        remember: int = 20_000,
        store: Callable[[], Path | None] | None = None,
    ) -> None:
        super().__init__(threads, remember, store)
        self.name = name

    def folder(self) -> Path:  # type: ignore[override]
        """Where the model's files are. NotInstalled where they are not."""
        return _folder(self.name)

    def on_a_worker(self) -> Own:
        path = Path(self.name).expanduser()
        return Own(str(path.absolute()) if path.is_dir() else self.name, threads=1, remember=0)

    @property
    def dimensions(self) -> int:
        return self._loaded.dimensions

    def _model(self) -> Model:
        return self._loaded

    def version(self) -> str | None:
        return tagged_hash("own/1", self._digest) if self._digest else None

    @cached_property
    def _digest(self) -> str | None:
        return digest(self.folder())

    @cached_property
    def _loaded(self) -> Model:
        folder, before = self.folder(), self._digest
        loaded = _load(folder, self.name, self._threads)
        if digest(folder) != before:  # else its vectors would be kept as those of the other one
            raise UserError(f"encoder: {folder} was changed while it was in use: run again.")
        return loaded


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise NotInstalled(
            f"encoder: there is no folder {name}: write the path of one, or a name on the hub, as in "
            "intfloat/multilingual-e5-small."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.model", *bert.FILES]))
    except Exception as error:  # of the network, of the hub, of the disk
        first = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise NotInstalled(
            f"encoder: {name} is no folder here, and the hub does not give it ({first[0]}). Where there is "
            "no network, copy the model's folder and write its path."
        ) from error


class _Parts(NamedTuple):
    """What a folder says: where the transformer is, what it is, how many tokens it reads, how they are
    pooled, and whether anything else follows."""

    folder: Path
    config: Mapping[str, Any]
    longest: int | None
    pooling: str  # mean, cls, or another one
    more: bool


def _load(folder: Path, name: str, threads: int | None) -> Model:
    parts = _parts(folder)
    simple = parts.pooling in ("mean", "cls") and not parts.more
    if simple and _in_numpy(parts):
        return bert.load(parts.folder, parts.longest, parts.pooling == "cls")
    onnx = next((folder / file for file in ONNX if (folder / file).is_file()), None)
    if simple and onnx and (parts.folder / "tokenizer.json").is_file():
        return _Onnx(onnx, parts, threads)
    if find_spec("sentence_transformers"):
        return _Library(folder)
    kind = f"{parts.config.get('model_type', 'of unknown kind')}, of {parts.pooling} pooling"
    raise UserError(
        f"encoder: {name} is {kind}{', with further layers' * parts.more}, which needs another package. Fix: "
        f"pip install sentence-transformers, or take a folder of {', '.join(bert.KINDS)} with "
        f"{', '.join(bert.FILES)}, or with {ONNX[0]}."
    )


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _parts(folder: Path) -> _Parts:
    modules = {
        each["type"].rpartition(".")[2]: folder / each["path"] for each in _read(folder / "modules.json")
    }
    of = modules.get("Transformer", folder)
    if not (of / "config.json").is_file():
        raise UserError(
            f"encoder: {folder} has no config.json: write the folder of a model, as sentence-transformers "
            "saves it."
        )
    said = _read(modules["Pooling"] / "config.json") if "Pooling" in modules else {}
    on = [name for name, value in said.items() if value is True and name.startswith("pooling_mode")]
    asked = said.get("pooling_mode") or (on or ["mean"])[0]
    pooling = next((each for each in ("cls", "mean") if each in asked.split("_")), asked)
    longest = _read(of / "sentence_bert_config.json").get("max_seq_length")
    more = len(on) > 1 or bool(modules.keys() - {"Transformer", "Pooling", "Normalize"})
    return _Parts(of, _read(of / "config.json"), longest, pooling, more)


def _in_numpy(parts: _Parts) -> bool:
    config = parts.config
    return (
        config.get("model_type") in bert.KINDS
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and all((parts.folder / file).is_file() for file in bert.FILES)
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Of length 1, float32; a vector of zeros stays."""
    import numpy as np

    long = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(long == 0, 1, long)).astype(np.float32)


class _Onnx:
    """An ONNX model of a transformer, whose first output are its tokens' vectors, or one vector a text."""

    def __init__(self, file: Path, parts: _Parts, threads: int | None) -> None:
        from tokenizers import Tokenizer

        try:
            import onnxruntime
        except ImportError:
            raise NotInstalled(
                f"encoder: {file} needs onnxruntime, which is not installed. Fix: pip install onnxruntime"
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0  # 0: as many as there are processors
        self._session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
        self._wants = [each.name for each in self._session.get_inputs()]
        self._first = parts.pooling == "cls"
        self._tokenizer = Tokenizer.from_file(str(parts.folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(parts.longest or LONGEST)

    @cached_property
    def dimensions(self) -> int:
        return int(self.encode(["a"], 1).shape[1])

    def encode(self, texts: Sequence[str], threads: int) -> np.ndarray:
        import numpy as np

        ids = [self._tokenizer.encode(clean(text)).ids for text in texts]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))  # like lengths together: little padding
        found: dict[int, np.ndarray] = {}
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            found |= dict(zip(rows, self._pooled([ids[i] for i in rows]), strict=True))
        return _unit(np.array([found[i] for i in range(len(ids))]))

    def _pooled(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        import numpy as np

        tokens = np.zeros((len(ids), max(map(len, ids))), dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, each in enumerate(ids):
            tokens[row, : len(each)], mask[row, : len(each)] = each, 1
        given = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": np.zeros_like(tokens)}
        out = self._session.run(None, {name: given[name] for name in self._wants})[0]
        if out.ndim == 2:
            return out
        return out[:, 0] if self._first else (out * mask[:, :, None]).sum(axis=1)


class _Library:
    """By the package sentence-transformers, which needs torch."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(folder), device="cpu")

    @property
    def dimensions(self) -> int:
        return int(self._model.get_sentence_embedding_dimension())

    def encode(self, texts: Sequence[str], threads: int) -> np.ndarray:
        return _unit(self._model.encode(list(texts), batch_size=BATCH, show_progress_bar=False))
