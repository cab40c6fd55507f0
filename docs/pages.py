"""Pages of the site that are made when it is built: the reference, from the code, and the notebook as a page.

A hook of MkDocs (see mkdocs.yml): what a recipe may say is written once, in the classes that read it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

HERE = Path(__file__).parent
REFERENCE = {  # the file of the page, its title, and the parts of `synth context` that it has
    "recipe": ("Fields of a recipe", ["Sections", "Templates"]),
    "values": ("Sources of values", ["Sources of values"]),
    "steps": ("Steps and tools", ["Steps", "Tools"]),
    "filters": ("Filters", ["Filters"]),
    "labels": ("Ways to label", ["Ways to label"]),
    "weights": ("Ways to weigh", ["Ways to weigh"]),
    "metrics": ("Metrics", ["Metrics"]),
}
ENTRY = re.compile(r"- `([^`]+)`(?: \((.+?)\))?: (.*)")


def on_files(files: Any, config: Any) -> Any:
    """Add them to those of docs/."""
    for path, text in made():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links of the repository, where the pages that are made are not: they lead to those."""
    if page.file.src_uri == "reference.md":
        listed = [f"- [{title}](reference/{name}.md)" for name, (title, _) in REFERENCE.items()]
        markdown = "\n".join([markdown, *listed, "- [Commands](reference/commands.md)", ""])
    return markdown.replace("](notebook.ipynb)", "](notebook.md)")


def made() -> Iterator[tuple[str, str]]:
    """Path -> Markdown."""
    from synth_assets.core.described import described
    from synth_assets.planning.reference import BASES, page

    text = "\n".join(page({})).replace("`metrics`, above", "[`metrics`](recipe.md#metrics)")
    parts = dict(re.findall(r"^## (.+?)\n\n(.*?)(?=\n## |\Z)", text, re.MULTILINE | re.DOTALL))
    for name, (title, wanted) in REFERENCE.items():
        shared = described(BASES[name]) if name in BASES else {}
        bodies = {part: entries(parts[part], {*shared}) for part in wanted}
        under = [f"## {part}\n\n{body}" if len(wanted) > 1 else body for part, body in bodies.items()]
        yield f"reference/{name}.md", f"# {title}\n\n" + "\n".join(under)
    yield "reference/commands.md", commands()
    yield "notebook.md", notebook()


def entries(lines: str, shared: set[str]) -> str:
    """A heading for each entry, and what belongs to it as a list below; first what all of them share."""
    out = []
    for line in lines.splitlines():
        found = ENTRY.fullmatch(line)
        if found and found[1] not in shared:
            name, kind, says = found.groups()
            out += ["", f"### `{name}`", "", *([f"*{kind}*", ""] if kind else []), says, ""]
        else:
            indent = len(line) - len(line.lstrip())
            out.append(" " * (2 * indent - 4 * (indent > 0)) + line.lstrip())
    return "\n".join(out) + "\n"


def commands() -> str:
    """What `--help` says of each command."""
    from synth_assets.commands.options import COMMANDS, module_of, said_of

    out = ["# Commands", ""]
    for name in COMMANDS:
        parser = argparse.ArgumentParser(prog=f"synth {name}", formatter_class=wide)
        import_module(f"synth_assets.commands.{module_of(name)}").options(parser)
        says = said_of(name)
        out += [
            f"## synth {name}",
            "",
            f"{says[0].upper()}{says[1:]}.",
            "",
            "```text",
            parser.format_help(),
            "```",
            "",
        ]
    return "\n".join(out)


def wide(prog: str) -> argparse.HelpFormatter:
    """The same on every terminal."""
    return argparse.HelpFormatter(prog, width=90)


def notebook() -> str:
    """The cells of docs/notebook.ipynb, one below the other."""
    cells = json.loads((HERE / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    texts = ("".join(cell["source"]) for cell in cells)
    kinds = (cell["cell_type"] for cell in cells)
    return "\n\n".join(
        f"```python\n{text}\n```" if kind == "code" else text for kind, text in zip(kinds, texts, strict=True)
    )
