"""Pieces of documents: how texts are read and cut, and which rows take which piece."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_assets.contracts.provider import Around
from synth_assets.core.errors import UserError
from synth_assets.core.text.words import count
from synth_assets.generation.conditions.document_files import Document, _page_of, read_document
from synth_assets.generation.conditions.documents import Documents, cut
from synth_assets.generation.conditions.table import design
from synth_assets.generation.steps import chain
from synth_assets.recipe.load import load
from synth_assets.stages import tables

MANUAL = """---
title: Manual
---
# Manual

## Returns

Send it back within 30 days. Dr. Ode pays the post.

```
# no heading
```

Setext
------
Keep the box.
"""


def texts(document: Document, words: int, overlap: int = 0) -> list[str]:
    return [document.text[start:end].strip() for start, end, _ in cut(document, words, overlap)]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pdf(*pages: str) -> bytes:
    """A PDF file of these lines, a page each; readers mend that it has no table of its objects."""
    numbers = range(3, 3 + 2 * len(pages), 2)
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{' '.join(f'{n} 0 R' for n in numbers)}]>>",
    ]
    font = "<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    for number, text in zip(numbers, pages, strict=True):
        drawn = f"BT /F 12 Tf 50 700 Td ({text}) Tj ET"
        box = "/MediaBox[0 0 600 800]"
        objects.append(f"<</Type/Page/Parent 2 0 R{box}/Resources{font}/Contents {number + 1} 0 R>>")
        objects.append(f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream")
    body = "".join(f"{n} 0 obj{what}endobj\n" for n, what in enumerate(objects, 1))
    return f"%PDF-1.4\n{body}trailer<</Root 1 0 R/Size {len(objects) + 1}>>\nstartxref\n0\n%%EOF".encode()


def test_a_text_is_cut_at_headings_and_sentences(tmp_path: Path) -> None:
    manual = read_document(write(tmp_path / "manual.md", MANUAL.replace("\n", "\r\n")))
    pieces = list(cut(manual, 11))
    assert [heading for _, _, heading in pieces] == ["Manual > Returns"] * 2 + ["Manual > Setext"]
    assert texts(manual, 11) == [
        "# Manual\n\n## Returns\n\nSend it back within 30 days.",
        "Dr. Ode pays the post.\n\n```\n# no heading\n```",
        "Setext\n------\nKeep the box.",
    ]
    assert len(texts(manual, 300)) == 2


def test_pieces_overlap_by_whole_sentences() -> None:
    text = Document("One two. Three four. Five six. Seven eight nine ten eleven. Twelve.")
    assert texts(text, 6, 2) == [
        "One two. Three four. Five six.",
        "Seven eight nine ten eleven. Twelve.",  # nothing else fits before the long one
    ]
    assert texts(text, 4, 2)[:2] == ["One two. Three four.", "Three four. Five six."]
    assert max(map(count, texts(text, 4))) == 4  # a long sentence is cut too


def test_a_script_without_spaces_is_cut_at_its_sentences() -> None:
    text = "我喜欢这部电影。演员演得很好。" * 20 + "好" * 100
    assert all(piece.endswith(("。", "好")) for piece in texts(Document(text), 12))
    assert max(map(count, texts(Document(text), 12))) <= 12


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.text(st.sampled_from("ab 。.!\n#-`\tआे好\r")) | st.text(),
    st.integers(1, 8),
    st.sampled_from((".md", ".txt")),
)
def test_the_pieces_put_together_are_the_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, words: int, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(text.replace("\0", "").encode())
    document = read_document(path)
    assert "".join(document.text[start:end] for start, end, _ in cut(document, words)) == document.text
    if text.isascii():  # a mark without its letter is a word or none, as it stands
        assert max(map(count, texts(document, words)), default=0) <= words


def test_html_is_its_paragraphs_and_headings(tmp_path: Path) -> None:
    page = """<html><head><meta charset="iso-8859-1"><title>No</title><style>p {}</style></head>
    <h1>Caf\xe9 <i>manual</i></h1><h2>Prices</h2><nav><a>Home</a></nav><p>A cup
    costs 2&nbsp;&euro;.<br>A pot 5.<script>if (a < b) {}</script>
    <table><tr><td>tea<td>3</tr></table><pre>a  b
  c</pre>"""
    found = read_document(write(tmp_path / "page.html", page.encode("iso-8859-1")))
    assert found.text == "Café manual\n\nPrices\n\nA cup costs 2 €.\nA pot 5.\n\ntea | 3\n\na  b\n  c"
    assert [piece.heading for piece in cut(found, 300)] == ["Café manual > Prices"]


PAGES = {  # what a page of the world may be like -> its blocks
    "a heading in a box": (b"<h1><div>Box</div></h1><p>Keep.", "Box\n\nKeep.", ["Box"]),
    "a heading that is not closed": (b"<h1>Box<p>Keep.<p>It.", "Box\n\nKeep.\n\nIt.", ["Box"]),
    "a menu that is not closed": (b"<nav>Home<p>Keep.", "Home\n\nKeep.", [""]),
    "a menu that is": (b"<nav>Home</nav><p>Keep.", "Keep.", [""]),
    "a comment that is not closed": (b"<p>Keep. <!-- it", "Keep. <!-- it", [""]),
    "a script": (b"<p>a<script>x = '</p><p>'; // <b></script>b", "ab", [""]),
    "choices": (b"<select><option>one<option>two</select><button>Go</button>", "one\n\ntwo\n\nGo", [""]),
    "charset in its text": (b"<p>Write charset=latin-9.", "Write charset=latin-9.", [""]),
    "what browsers take it for": (b"<meta charset=iso-8859-1><p>\x93a\x94", "\u201ca\u201d", [""]),
    "XML": (b"<?xml version='1.0' encoding='cp1251'?><p>\xc0", "\u0410", [""]),
    "a mark that knows better": ("\ufeff<meta charset=cp1251><p>\u00e9".encode(), "\u00e9", [""]),
    "UTF-16": ("<p>\u00e9".encode("utf-16"), "\u00e9", [""]),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_read_as_a_browser_reads_it(tmp_path: Path, page: str) -> None:
    content, text, headings = PAGES[page]
    found = read_document(write(tmp_path / "page.html", content))
    assert found.text == text
    assert [piece.heading for piece in cut(found, 300)] == headings


def test_a_page_of_comments_that_nothing_ends_takes_no_time(tmp_path: Path) -> None:
    assert len(read_document(write(tmp_path / "page.html", b"<!--" * 100_000)).text) == 400_000


@pytest.mark.parametrize(
    "head", ["---\nurl: a\n---\n", "---\nurl: a\n\n# no\n...\n", "+++\nurl = 'a'\n+++\n", "---\n---\n"]
)
def test_front_matter_is_no_text(tmp_path: Path, head: str) -> None:
    found = read_document(write(tmp_path / "a.md", head + "# Box\n\nKeep it."))
    assert found.text.split() == ["#", "Box", "Keep", "it."]
    assert len(found.text) == len(head) + 15
    assert [heading.title for heading in found.headings] == ["Box"]


@pytest.mark.parametrize(
    "text", ["---\n\n# Box\n\nKeep.\n\n---\n\nIt.", "---\nKeep it.\n\n---\nIt.", "---\nurl: a\n"]
)
def test_a_rule_at_the_start_is_no_front_matter(tmp_path: Path, text: str) -> None:
    assert read_document(write(tmp_path / "a.md", text)).text == text


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_of_the_order_of_bytes_says_what_a_file_is(tmp_path: Path, charset: str) -> None:
    assert read_document(write(tmp_path / "a.md", "# Caf\u00e9".encode(charset))).text == "# Caf\u00e9"


@pytest.mark.parametrize(
    "text", ["\u090f\u0915 \u0926\u094b\u0964 ", "\u0643\u064a\u0641 \u0627\u0644\u062d\u0627\u0644\u061f "]
)
def test_sentences_end_in_other_scripts_too(text: str) -> None:
    assert texts(Document(text * 6), 5) == [(text * 2).strip()] * 3


def test_each_folder_is_looked_into_once_whatever_links_lead_to_it(tmp_path: Path) -> None:
    for name in ("a/1.md", "a/b/2.md", "a/.git/3.md", "a/dir.md/4.md", "[x]/5.md"):
        write(tmp_path / name, f"Text of {name}.")
    for link in ("a/latest", "a/b/up", "a/b/round"):
        (tmp_path / link).symlink_to(tmp_path / "a")
    (tmp_path / "a" / "gone.md").symlink_to("nowhere")

    def names(pattern: str) -> list[str]:
        found = Documents(documents=f"{tmp_path}/{pattern}").files()
        return [path.relative_to(tmp_path).as_posix() for path in found]

    assert (
        names("a/**/*.md")
        == names("a/**")
        == names("a/**/**/*.md")
        == ["a/1.md", "a/b/2.md", "a/dir.md/4.md"]
    )
    assert names("a/*.md") == ["a/1.md"]
    assert names("a/b/../*.md") == ["a/b/../1.md"]
    assert names("[[]x]/**/*.md") == ["[x]/5.md"]
    with pytest.raises(UserError, match=r"as in .*a/\*\*/\*.md, for all below the folder"):
        Documents(documents=f"{tmp_path}/a").told()


def test_a_name_that_is_no_utf8_and_files_without_text(tmp_path: Path) -> None:
    (tmp_path / "\udcff.md").write_text("Keep it.")
    for n in range(9):
        write(tmp_path / f"empty{n}.md", "")
    source = Documents(documents=f"{tmp_path}/*.md")
    assert source.about("Keep it.", Around())["file"].endswith("/?.md")
    assert source.told().endswith("empty4.md and 4 more")


def test_a_file_that_keeps_its_time_is_read_again(tmp_path: Path) -> None:
    """As `cp -p`, rsync and archives leave it."""
    path, source = write(tmp_path / "a.md", "Keep it."), Documents(documents=f"{tmp_path}/*.md")
    time = path.stat().st_mtime_ns
    assert list(source.pool("p", {}, Around())) == ["Keep it."]
    write(path, "Give it.")
    os.utime(path, ns=(time, time))
    assert list(source.pool("p", {}, Around())) == ["Give it."]


def test_pdf_is_its_pages(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    assert _page_of("Pr\u00fc-\nfung, A-\nB\0.") == "Pr\u00fcfung, A-\nB."
    found = read_document(write(tmp_path / "manual.pdf", pdf("The box is", "blue. Keep it.")))
    assert found.text == "The box is\n\nblue. Keep it."
    source = Documents(documents=f"{tmp_path}/*.pdf", words=3)
    about = [source.about(piece, Around()) for piece in source.pool("p", {}, Around())]
    assert [(each["heading"], each["offset"]) for each in about] == [("page 1", 0), ("page 2", 12)]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    {
        "latin": ("a.md", "Caf\xe9".encode("latin-1"), r"a.md: not UTF-8 at byte 3: save the file as UTF-8"),
        "charset": ("a.html", b"<meta charset=none>", "unknown charset NONE: save the file as UTF-8"),
        "binary": ("a.docx", b"PK\0", r"a.docx is no text: .* write a glob that leaves it out"),
        "no PDF": ("a.pdf", b"%PDF-1.4 no", r"a.pdf cannot be read as PDF .*: save it anew"),
        "empty": ("a.md", b"---\ntitle: a\n---\n\n", r"no file of .* has text \(.*a.md\)"),
        "none": ("b/a.txt", b"a", r"no file matches .*: write a glob"),
    }.values(),
    ids=["latin", "charset", "binary", "no PDF", "empty", "none"],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    if name.endswith(".pdf"):
        pytest.importorskip("pypdf")
    write(tmp_path / name, content)
    with pytest.raises(UserError, match=why):
        Documents(documents=f"{tmp_path}/*.*").told()


def test_without_pypdf_a_pdf_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pypdf", None)
    with pytest.raises(UserError, match=r"pip install 'synth-assets\[pdf\]'"):
        read_document(write(tmp_path / "a.pdf", pdf("a")))


def drawn(folder: Path, rows: int = 40) -> list[tuple[str, Any]]:
    """The piece of each row, and its file."""
    source, around = Documents(documents=f"{folder}/**/*.md", words=4), Around()
    pieces = [source.draw({}, around, 0, "2026-11-21", "1", n, "passage") for n in range(rows)]
    return [(piece, Path(source.about(piece, around)["file"]).name) for piece in pieces]


def test_an_edited_file_changes_the_rows_of_its_pieces_alone(tmp_path: Path) -> None:
    """The whole file is cut anew, and its other pieces stand elsewhere."""
    for n in range(6):
        write(tmp_path / "deep" / f"{n}.md", "\n".join(f"# {m}\n\nOf {n}, {m}." for m in range(5)))
    before = drawn(tmp_path)
    assert len({piece for piece, _ in before}) > 15
    path = tmp_path / "deep" / "2.md"
    edited = "A new start. " + path.read_text().replace("Of 2, 3.", "Of 2, three.")
    write(path, edited)
    now = drawn(tmp_path)
    assert [new for old, new in zip(before, now, strict=True) if old != new]
    for (piece, file), (new, of) in zip(before, now, strict=True):
        assert new == piece or "2.md" in (file, of)
        assert new == piece or "Of 2, 3." in piece or "three" in new or "A new start" in new
    path.unlink()
    gone = drawn(tmp_path)
    assert all(new == old for old, new in zip(now, gone, strict=True) if old[1] != "2.md")
    write(path, edited)
    assert drawn(tmp_path) == now


RECIPE = """
task: {text: answer}
conditions:
  about: {words: 8, documents: "manual/*.md"}
steps: {text: "{{ about_heading }}: {{ about }}"}
rows: 6
design: DESIGN
"""


def test_rows_have_where_their_piece_stands_and_no_id_rests_on_it(project: Path) -> None:
    def rows(text: str, plan: str = "product") -> pd.DataFrame:
        write(project / "manual" / "a.md", text)
        path = write(project / "recipes" / "about.yaml", RECIPE.replace("DESIGN", plan))
        recipe = load(path)
        assert tables.columns(recipe, "conditions")["about_offset"] == "int64"
        assert "about_file" in chain.fields(recipe)
        return design(recipe, pd.DataFrame(), round_="2026-11-21", cell="1", rows=6)

    before, after = rows("# Box\n\nKeep it."), rows("\n\n# Box\n\nKeep it.")
    place = {"about_file": "manual/a.md", "about_heading": "Box", "about_offset": 0}
    assert before[list(place)].iloc[0].to_dict() == place
    assert before["about_hash"][0] == sha256(before["about"][0].encode()).hexdigest()[:16]
    assert set(after["about_offset"]) == {2}
    assert list(after["row_id"]) == list(before["row_id"])
    each = rows("# Box\n\nKeep it.\n\n# Post\n\nIt is free.\n\n# Bill\n\nPay it.", "balanced")
    assert sorted(each["about_heading"][:3]) == ["Bill", "Box", "Post"]
    with pytest.raises(UserError, match=r"overlap: a piece has 8 words: write fewer, as in 1"):
        load(write(project / "recipes" / "o.yaml", RECIPE.replace("words: 8", "words: 8, overlap: 8")))
    with pytest.raises(UserError, match="its column about_file is there already"):
        load(write(project / "recipes" / "b.yaml", RECIPE.replace("steps:", "  about_file: [a]\nsteps:")))


def test_each_piece_is_as_likely(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "\n".join(f"# {n}\n\ntext" for n in range(10)))
    found = [piece for piece, _ in drawn(tmp_path, 2_000)]
    assert all(abs(found.count(piece) - 200) < 5 * 180**0.5 for piece in set(found))
    assert len(set(found)) == 10
