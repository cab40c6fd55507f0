"""The user's files as they are read: each kind of file, what is refused, and any file at all."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_assets.contracts.reading import Reading
from synth_assets.core.errors import UserError
from synth_assets.resources.storage.sources import fingerprint, place, read_rows

ROWS = [{"text": "caf\u00e9, bien", "label": 1}, {"text": "it\u2019s so-so", "label": 0}]
CSV = 'text,label\n"caf\u00e9, bien",1\nit\u2019s so-so,0\n'
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("set/a.csv", CSV.split("it")[0])
        file.writestr("set/b.jsonl", json.dumps(ROWS[1]))
        file.writestr("__MACOSX/a.csv", "nothing")
    return packed.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), file)
    return file.getvalue()


def arrow() -> bytes:
    file, table = io.BytesIO(), pa.Table.from_pylist(ROWS)
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "reading"),
    [
        ("a.csv", CSV.encode(), {}),
        ("a.CSV", b"\xef\xbb\xbf" + CSV.encode(), {}),
        ("a.csv", CSV.encode("utf-16"), {}),
        ("a.csv", CSV.encode("cp1252"), {"encoding": "cp1252"}),
        ("a.csv", CSV.replace(",", ";").replace("\u00e9;", "\u00e9,").encode(), {}),
        ("a.csv", CSV.replace(",", "^").replace("\u00e9^", "\u00e9,").encode(), {"delimiter": "^"}),
        ("a.tsv", "text\tlabel\ncaf\u00e9, bien\t1\nit\u2019s so-so\t0\n".encode(), {}),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0), {}),
        ("a.zip", archive(), {}),
        ("a.jsonl", b"\xef\xbb\xbf" + LINES.encode(), {}),
        ("a.ndjson", LINES.encode(), {}),
        ("a.json", json.dumps(ROWS).encode(), {}),
        ("a.json", json.dumps({"version": 1, "data": ROWS}).encode(), {}),
        ("a.json", LINES.encode(), {}),
        ("a.parquet", parquet(), {}),
        ("a.arrow", arrow(), {}),
    ],
)
def test_a_file_of_each_kind(tmp_path: Path, name: str, content: bytes, reading: dict[str, str]) -> None:
    (tmp_path / name).write_bytes(content)
    rows = read_rows(str(tmp_path / name), Reading(**reading))
    assert list(rows["text"]) == [row["text"] for row in ROWS]
    assert [str(label) for label in rows["label"]] == ["1", "0"]


def test_a_folder_a_pattern_and_a_folder_of_datasets(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text(f"text\nof {name}\n", encoding="utf-8")
    hidden = tmp_path / "deeper" / ".ipynb_checkpoints" / "a.csv"
    hidden.parent.mkdir(parents=True)
    for path in (tmp_path / ".hidden.csv", hidden):
        path.write_text("text\nno\n", encoding="utf-8")
    for said in (tmp_path, tmp_path / "*.csv", tmp_path / "**" / "*.csv"):
        found = read_rows(str(said))
        assert list(found["text"]) == ["of a.csv", "of b.csv"]
        assert place(found.index[1]) == f"{tmp_path / 'b.csv'}:2"
    with pytest.raises(UserError, match=r"whole folders, as in data/\*\*/\*\.csv"):
        read_rows(str(tmp_path / "**.csv"))
    before = fingerprint(str(tmp_path))
    (tmp_path / "b.csv").write_text("text\nanother\n", encoding="utf-8")
    assert fingerprint(str(tmp_path)) != before
    saved = tmp_path / "saved"
    for split in ("train", "test"):
        (saved / split).mkdir(parents=True)
        (saved / split / "data-00000-of-00001.arrow").write_bytes(arrow())
        (saved / split / "cache-1.arrow").write_bytes(b"no part of it")
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
        (saved / split / "state.json").write_text(json.dumps(state), encoding="utf-8")
    (saved / "dataset_dict.json").write_text('{"splits": ["train", "test"]}', encoding="utf-8")
    assert list(read_rows(str(saved))["split"]) == ["train", "train", "test", "test"]


def test_tables_and_queries_of_databases_keep_their_types(tmp_path: Path) -> None:
    lite, duck = tmp_path / "a.sqlite", tmp_path / "a.duckdb"
    with sqlite3.connect(lite) as connection:
        connection.execute("create table t (text, n)")
        connection.execute("insert into t values ('a', 1), ('b', null)")
    with duckdb.connect(str(duck)) as to_duck:
        to_duck.execute("create table t as select * from (values ('a', 1), ('b', null)) as v(text, n)")
        to_duck.execute("create table other as select 1 as x")
    assert read_rows(str(lite))["n"].tolist() == [1, None]
    assert read_rows(str(duck), Reading(table="t"))["n"].tolist() == [1, None]
    assert read_rows(str(duck), Reading(query="select text from t where n = 1"))["text"].tolist() == ["a"]
    with pytest.raises(UserError, match=r"which table\? .*Tables: other, t"):
        read_rows(str(duck))


def test_a_sheet_of_excel(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "a.xlsx") as book:
        pd.DataFrame({"x": [1]}).to_excel(book, sheet_name="first", index=False)
        pd.DataFrame({"text": ["a", None], "n": [2020, 1]}).to_excel(book, sheet_name="rows", index=False)
    rows = read_rows(str(tmp_path / "a.xlsx"), Reading(sheet="rows"))
    assert (rows["n"].tolist(), place(rows.index[1])) == ([2020, 1], f"{tmp_path / 'a.xlsx'}, row 3")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,source\ngood film,web page 1,\n", "line 2 has 3 fields where the header has 2"),
        ("a.csv", b"text,source\ngood film\n", "line 2 has 1 fields where the header has 2"),
        (
            "a.csv",
            b'text,source\nfine,b\n"good" film,web\n',
            r"line 3: a quote is not closed .*none",
        ),
        ("a.csv", b"text\ncaf\xe9\n", r"not UTF-8 \(line 2\): in cp1252 it reads 'caf\u00e9'"),
        ("a.csv", "text\nfine\n".encode("utf-16-le"), r"line 1 has a zero byte.*utf-16-le"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2 is not JSON"),
        ("a.jsonl", b'{"text": "a"}\n["b"]\n', "line 2 is no object"),
        ("a.parquet", b"PAR1", "no Parquet file that can be read"),
        ("a.zip", b"PK", "cannot be unpacked"),
        ("a.json", b'[{"text": ' + b"[" * 99_999, "nested too deep"),
        ("a.csv.gz", gzip.compress(b"text\na\n" * 99, mtime=0)[:10] + b"\xff" * 40, "cannot be unpacked"),
        ("a.txt", b"text\n", "unknown format of a seeds file '.txt'"),
        ("a.json", b"3", "no list of objects"),
    ],
)
def test_what_cannot_be_read_names_the_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_rows(str(tmp_path / name))


def test_wrong_tags_name_the_row_and_the_file_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"words": ["a"], "tags": ["O"]}\n{"words": ["b"], "tags": "O"}\n')
    with pytest.raises(UserError, match="line 2: `words` has to be a list of texts, `tags`") as raised:
        read_rows(str(tmp_path / "a.jsonl"), Reading(tokens="words", tags="tags"))
    assert str(raised.value).count("a.jsonl") == 1


def test_quotes_of_a_table_of_tabs_are_text_where_lines_would_merge(tmp_path: Path) -> None:
    rows = '"good" film\tpos\n"I liked it\tneg\nbad "\tpos\n'
    (tmp_path / "a.tsv").write_text(f"text\tlabel\n{rows}", encoding="utf-8")
    assert read_rows(str(tmp_path / "a.tsv"))["text"].tolist() == ['"good" film', '"I liked it', 'bad "']


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), max_size=8)
VALUE = st.one_of(st.none(), st.booleans(), st.integers(-9, 2**62), st.floats(-1e9, 1e9), TEXT)
WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    ".jsonl": lambda rows, path: path.write_text(
        "".join(json.dumps(row) + "\n" for row in rows.to_dict("records")), encoding="utf-8"
    ),
    ".parquet": lambda rows, path: rows.to_parquet(path),
}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_in_a_table_is_what_is_read(tmp_path: Path, data: st.DataObject) -> None:
    """Types and nulls: what pandas wrote is what comes back."""
    n = data.draw(st.integers(1, 4))
    kinds = [st.booleans(), st.integers(-9, 2**62), st.floats(-1e9, 1e9), TEXT, st.lists(TEXT, max_size=2)]
    columns = {
        f"c{i}": data.draw(st.lists(st.none() | data.draw(st.sampled_from(kinds)), min_size=n, max_size=n))
        for i in range(3)
    }
    ending = data.draw(st.sampled_from(list(WRITERS)))
    path = tmp_path / f"a{ending}"
    WRITERS[ending](pd.DataFrame(columns, dtype=object), path)
    rows = read_rows(str(path))
    for name, values in columns.items():
        found = [None if value is None or value != value else value for value in rows[name].tolist()]
        assert found == values, (ending, name)
        assert [type(value) for value in found] == [type(value) for value in values]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.lists(TEXT, min_size=2, max_size=2), min_size=1, max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_any_csv_is_read_as_it_was_written(
    tmp_path: Path, cells: list[list[str]], delimiter: str, encoding: str, ending: str
) -> None:
    path = tmp_path / "a.csv"
    written = pd.DataFrame(cells, columns=["a", "b"])
    written.to_csv(path, index=False, sep=delimiter, encoding=encoding, lineterminator=ending)
    assert read_rows(str(path)).to_numpy().tolist() == cells


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.text(st.sampled_from('ab,"\n'), max_size=9), min_size=1, max_size=5))
def test_of_a_csv_that_is_not_right_no_value_is_lost_in_silence(tmp_path: Path, lines: list[str]) -> None:
    """It is an error, or all that stands in it is in its rows, in their order."""
    path, text = tmp_path / "a.csv", "\n".join(lines)
    path.write_text(f"a,b\n{text}\n", encoding="utf-8")
    found, why = "", ""
    try:
        found = "".join(cell for row in read_rows(str(path)).to_numpy() for cell in row)
    except UserError as error:
        why = str(error)
    letters = [[each for each in words if each in "ab"] for words in (found, text)]
    assert "line " in why or "no rows" in why or letters[0] == letters[1]
