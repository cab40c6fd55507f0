"""`synth check` refuses what `synth run` refuses: an address with a password, wherever one can stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_assets.cli import main

HUSH = "http://me:HUSH@127.0.0.1:9/v1"
ENTRY = f"{{name: m, base_url: '{HUSH}'}}"
PLACES = {
    "model": f"model: {ENTRY}",
    "a step": f"steps:\n  text: {{complete: 'x', stop: ['.'], max_tokens: 9, model: {ENTRY}}}",
    "the annotator": f"annotator: {{model: {ENTRY}}}",
    "a judge": f"metrics: {{judge: {{model: {ENTRY}}}}}",
    "an alias": "model: hushed",
}


@pytest.mark.parametrize("field", ["source", "license"])
def test_nor_does_one_get_into_a_dataset_card(edit, field: str, capsys: pytest.CaptureFixture) -> None:
    edit("seeds: {", f"seeds: {{{field}: 'https://me:HUSH@host/rows.csv', ")
    assert main(["check", "reviews"]) == 2
    said = capsys.readouterr().err
    assert "the address holds a user or password" in said
    assert "HUSH" not in said


@pytest.mark.parametrize("place", PLACES)
def test_an_address_with_a_password_is_refused_and_not_shown(
    edit, project: Path, place: str, capsys: pytest.CaptureFixture
) -> None:
    (project / "models.yaml").write_text(f"hushed: {ENTRY}\n", encoding="utf-8")
    path = edit("minimum_yield: 0.0", PLACES[place])
    if place == "a step":
        head, _, rest = path.read_text(encoding="utf-8").partition("steps:\n")
        path.write_text(head + rest[rest.index("rows: 6") :], encoding="utf-8")
    assert main(["check", "reviews"]) == 2
    said = "".join(capsys.readouterr())
    assert "holds a user or password: name the key's variable in key_env" in said
    assert "HUSH" not in said
