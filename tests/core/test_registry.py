"""Methods are found by their words: built in, of installed packages, or where a recipe says they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from synth_assets.contracts.filter import Filter
from synth_assets.core import registry
from synth_assets.core.errors import UserError
from synth_assets.core.registry import Registry

LOUD = '''
class Loud:
    """A method."""

    name = "loud"
'''


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry of a package `ways`, and a folder in which plug-ins can be installed."""
    (tmp_path / "ways").mkdir()
    (tmp_path / "ways" / "__init__.py").touch()
    many = 'class Base:\n    name: str = ""\n\nclass Two:\n    words = ("one", "other")\n'
    (tmp_path / "ways" / "built_in.py").write_text(LOUD + many)
    monkeypatch.syspath_prepend(tmp_path)
    for module in [name for name in sys.modules if name.partition(".")[0] in ("ways", "mine")]:
        monkeypatch.delitem(sys.modules, module)
    for each in (registry.imported, registry._plugged_in, registry._packages, registry.made_of):
        each.cache_clear()
    return Registry("way", "ways", "ways")


def install(folder: Path, *lines: str, name: str = "mine") -> None:
    """What pip leaves of a package with these entry points."""
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("\n".join(["[synth_assets.ways]", *lines, ""]))
    (info / "top_level.txt").write_text(f"{name}\n")


def test_a_built_in_method_is_imported_when_it_is_asked_for(library: Registry) -> None:
    assert list(library.known) == ["loud", "one", "other"]
    assert "ways.built_in" not in sys.modules
    assert library.find("loud").__name__ == "Loud"
    assert library.find("one") is library.find("other") is not library.find("loud")


def test_a_plug_in_is_found_and_an_unknown_word_names_it_and_its_package(
    library: Registry, tmp_path: Path
) -> None:
    install(tmp_path, "quiet = mine:Quiet")
    (tmp_path / "mine.py").write_text(LOUD.replace("Loud", "Quiet"))
    assert library.find("quiet").__name__ == "Quiet"
    known = "unknown way 'quite'. Did you mean 'quiet'? Known: loud, one, other, quiet (mine 1.2)."
    with pytest.raises(UserError, match=re.escape(known)):
        library.find("quite")


def test_a_name_that_is_taken_is_refused_with_both_places(library: Registry, tmp_path: Path) -> None:
    install(tmp_path, "loud = mine:Loud")
    both = r"way 'loud' is there twice: ways\.built_in:Loud \(built in\) and mine:Loud \(mine 1\.2\)"
    with pytest.raises(UserError, match=both):
        library.find("one")


def test_a_recipe_may_say_where_a_method_stands(library: Registry, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LOUD)
    assert library.find("mine:Loud").__module__ == "mine"
    for wrong, why in {
        "mine:Lout": r"mine:Lout: unknown way 'Lout'\. Did you mean 'Loud'",
        "theirs:Loud": r"theirs cannot be imported \(ModuleNotFoundError.*PYTHONPATH",
        "mine:": r"write it as package\.module:way",
        "mine:__name__": r"it is a str, and no function",
    }.items():
        with pytest.raises(UserError, match=why):
            library.find(wrong)
    with pytest.raises(UserError, match="it is a type, and no class with Filter as its base"):
        library.find("mine:Loud", Filter)


def test_what_a_plug_in_is_made_of_is_its_source_and_its_version(library: Registry, tmp_path: Path) -> None:
    def made() -> str | None:
        sys.modules.pop("mine", None)
        for each in (registry.imported, registry.made_of, registry._packages):
            each.cache_clear()
        return registry.made_of(library.find("mine:Loud"))

    (tmp_path / "mine.py").write_text(LOUD)
    before = made()
    assert before == made()
    (tmp_path / "mine.py").write_text(LOUD + "\nX = 1\n")
    edited = made()
    install(tmp_path)
    assert len({None, before, edited, made()}) == 4
    assert registry.made_of(registry.FILTERS.find("words")) is None


def test_all_methods_of_the_folders_are_known_without_an_import() -> None:
    code = """if 1:
        import sys
        from synth_assets.core import registry
        for each in (registry.FILTERS, registry.VALUES, registry.STEPS):
            each.known
        print([m for m in sys.modules if m.startswith("synth_assets.curation.filters.")])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert {"words", "judge", "label_agreement", "learning_dynamics"} <= set(registry.FILTERS.known)
