"""What stands in one file of rows: its columns, with the types that the file gives them, and where a row is.

A table is a DataFrame in which no value has become another one: text of a CSV stays text, a whole number
beside a null stays whole. Its index says where a row stands: what is before the number, and the number.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from synth_assets.contracts.reading import Reading
from synth_assets.core.errors import UserError, unknown
from synth_assets.core.text import marks

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MARKS = {  # byte order mark -> encoding; the longer ones first
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
DELIMITERS = ",;\t|"
NAMED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SHOWN = 60  # characters of a line, in an error
LONGEST = 2**31 - 1  # characters of a field


class Part(NamedTuple):
    """A file, or what is inside of one."""

    name: str  # for people
    suffix: str
    path: Path
    content: bytes | None = None  # of what was inside an archive
    also: Mapping[str, str] = {}  # columns that its place gives it

    def read(self) -> bytes:
        return self.path.read_bytes() if self.content is None else self.content


class Wrong(UserError):
    """What is wrong in a part; who reads it says of which field of the recipe it is."""


def table(part: Part, reading: Reading, wanted: Collection[str] | None = None) -> pd.DataFrame:
    """The rows of a part; of its columns those that are `wanted`, where a format can leave out others and all
    of these are there. What was found out of it is in `attrs["read"]`."""
    wanted = None if reading.tokens else wanted  # of those columns others are made
    if part.suffix in DATABASES:
        return _tagged(_database(part, reading), part, reading)
    return _tagged(READERS[part.suffix](part, reading, wanted), part, reading)


def _tagged(found: pd.DataFrame, part: Part, reading: Reading) -> pd.DataFrame:
    """With the columns of a CoNLL file, where `reading` says which columns have tokens and tags."""
    if reading.tokens is None or reading.tags is None:
        return found
    for column in (reading.tokens, reading.tags):
        if column not in found:
            raise unknown("column", column, found.columns)
    sentences = []
    for (where, number), words, tags in zip(
        found.index, found[reading.tokens], found[reading.tags], strict=True
    ):
        if (sentence := marks.sentence(words, tags, reading.names)) is None:
            raise Wrong(
                f"{where.removeprefix(part.name).strip(' ,:') or 'line'} {number}: `{reading.tokens}` has to "
                f"be a list of texts, `{reading.tags}` one of tags (O, B-kind, I-kind, a place in `names`)"
            )
        sentences.append(sentence)
    return found.assign(**{n: _column(v, found.index) for n, v in marks.columns(sentences).items()})


def _placed(columns: Mapping[str, Any], part: Part, word: str, numbers: Iterable[int], read: str) -> Any:
    """The table of these columns."""
    import pandas as pd

    numbers = list(numbers)
    where = pd.Categorical.from_codes([0] * len(numbers), [f"{part.name}{word}"])
    index = pd.MultiIndex.from_arrays([where, numbers])
    columns = {**columns, **{n: [v] * len(numbers) for n, v in part.also.items() if n not in columns}}
    made = {name: _column(values, index) for name, values in columns.items()}
    found = pd.DataFrame(made, index=index)
    found.attrs["read"] = read
    return found


def _column(values: Any, index: Any) -> pd.Series:
    import pandas as pd

    if isinstance(values, pd.Series):
        return values.set_axis(index)
    return pd.Series(values, index=index, dtype=object)


def decoded(content: bytes, part: Part, reading: Reading) -> tuple[str, str]:
    """Text, and the encoding: as its byte order mark has it, as the recipe says, or else UTF-8."""
    marked = next((encoding for mark, encoding in MARKS.items() if content.startswith(mark)), None)
    encoding = marked or reading.encoding or "utf-8"
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Wrong(_not_in(encoding, content, error)) from error
    if "\0" in text and not reading.encoding:
        line = text.count("\n", 0, text.index("\0")) + 1
        fix = "if it is UTF-16, write `read: {encoding: utf-16-le}`"
        raise Wrong(f"line {line} has a zero byte, which no text has: {fix}")
    return text, encoding


def _not_in(encoding: str, content: bytes, error: UnicodeDecodeError) -> str:
    """Which line it is, and how that reads in the encoding that is likeliest."""
    named = "UTF-8" if encoding == "utf-8" else encoding
    start = content.rfind(b"\n", 0, error.start) + 1
    number = content.count(b"\n", 0, error.start) + 1
    words = f"not {named} (line {number})"
    try:
        line = content[start:].split(b"\n", 1)[0].decode("cp1252").strip()
    except UnicodeDecodeError:
        return f"{words}: say its encoding, for example `read: {{encoding: cp1251}}`, or save it as UTF-8"
    at = max(0, len(content[start : error.start].decode("cp1252")) - SHOWN // 2)
    shown = line[at : at + SHOWN]
    return f"{words}: in cp1252 it reads {shown!r}. If that is right, write `read: {{encoding: cp1252}}`"


def _delimited(part: Part, reading: Reading, wanted: Collection[str] | None) -> pd.DataFrame:
    """CSV as RFC 4180 has it: each line has as many fields as the header, or it is an error."""
    text, encoding = decoded(part.read(), part, reading)
    head = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    delimiter = reading.delimiter or ("\t" if part.suffix in (".tsv", ".tab") else _delimiter(head))
    quoted = reading.quoting or ("none" if delimiter == "\t" and _unquoted(text) else "double")
    lines, rows = list[int](), list[list[str]]()
    for line, row in _records(text, delimiter, quoted):
        if rows and len(row) != len(rows[0]):
            more = f"{len(row)} fields where the header has {len(rows[0])}"
            fix = "quote a field that has the delimiter or a line end in it, or say `read: {delimiter: ...}`"
            raise Wrong(f"line {line} has {more}: {fix}")
        lines.append(line)
        rows.append(row)
    if not rows:
        raise Wrong("the file is empty.")
    names = _different(rows[0])
    columns = (
        dict(zip(names, zip(*rows[1:], strict=True), strict=True)) if rows[1:] else dict.fromkeys(names, ())
    )
    read = f"{encoding}, {NAMED.get(delimiter, repr(delimiter))}" + ", quotes are text" * (quoted == "none")
    return _placed(columns, part, ":", lines[1:], read)


def _records(text: str, delimiter: str, quoted: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each record that is not empty."""
    csv.field_size_limit(LONGEST)
    how: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if quoted == "none" else {}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, **how)
    line = 1
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        fix = "double a quote inside of quotes, or say that quotes are text: `read: {quoting: none}`"
        raise Wrong(f"line {line}: a quote is not closed where the field ends ({error}): {fix}") from error


def _delimiter(head: str) -> str:
    """A comma, unless the header has none and another one parts it."""
    counts = {d: len(next(csv.reader([head], delimiter=d), [])) for d in DELIMITERS}
    return "," if counts[","] > 1 else max(DELIMITERS, key=lambda d: counts[d])


def _unquoted(text: str) -> bool:
    """Whether quotes are text in a table of tabs: each line has all of its fields, and with quotes that part
    fields it would be wrong, or lines would be one."""
    plain = [len(row) for _, row in _records(text, "\t", "none")]
    try:
        quoted = [len(row) for _, row in _records(text, "\t", "double")]
    except Wrong:
        return len(set(plain)) == 1
    return len(set(plain)) == 1 and len(plain) != len(quoted)


def _different(names: Sequence[str]) -> list[str]:
    """The names of columns, those that are there twice with a number, as pandas has them."""
    found: dict[str, int] = {}
    made = []
    for at, name in enumerate(names):
        name = name or f"Unnamed: {at}"
        number = found.get(name, 0)
        found[name] = number + 1
        made.append(f"{name}.{number}" if number else name)
    return made


def _lines(part: Part, reading: Reading, wanted: Collection[str] | None) -> pd.DataFrame:
    """JSON lines: an object a line."""
    text, encoding = decoded(part.read(), part, reading)
    return _objects(part, list(_parsed(text)), ":", encoding)


def _conll(part: Part, reading: Reading, wanted: Collection[str] | None) -> pd.DataFrame:
    """CoNLL: a token a line, first the token and last its BIO tag, and an empty line after a sentence. A row
    has its `text`, the same `marked`, and its `spans` with their `kinds`."""
    text, encoding = decoded(part.read(), part, reading)
    rows: list[tuple[int, Sequence[str], Sequence[str]]] = []
    sentence: list[tuple[int, str, str]] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        fields = [field for field in line.strip("\r").replace("\t", " ").split(" ") if field]
        tag = marks.TAG.fullmatch(fields[-1]) if len(fields) > 1 else None
        if tag and fields[0] != "-DOCSTART-":
            sentence.append((number, fields[0], tag[0]))
        elif fields and not line.startswith(("#", "-DOCSTART-")):
            raise Wrong(f"line {number} ends with no tag (O, B-kind, I-kind): {line[:SHOWN]!r}")
        elif not fields and sentence:
            lines, words, tags = zip(*sentence, strict=True)
            rows.append((lines[0], words, tags))
            sentence = []
    columns = marks.columns((words, tags) for _, words, tags in rows)
    return _placed(columns, part, ":", [first for first, _, _ in rows], f"{encoding}, CoNLL")


def _parsed(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        try:
            if line.strip():
                yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise Wrong(
                f"line {number} is not JSON: {error.msg}, at {line[error.pos :][:SHOWN]!r}"
            ) from error


def _json(part: Part, reading: Reading, wanted: Collection[str] | None) -> pd.DataFrame:
    """A list of objects, by itself or as the only list of an object; or JSON lines."""
    text, encoding = decoded(part.read(), part, reading)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if not text.lstrip().startswith("{") or error.msg != "Extra data":
            raise Wrong(f"line {error.lineno} is not JSON: {error.msg}") from error
        return _lines(part, reading, wanted)
    if isinstance(content, dict):  # of its lists of objects the only one; or it is a row itself
        lists = [v for v in content.values() if isinstance(v, list) and v and isinstance(v[0], dict)]
        content = lists[0] if len(lists) == 1 else [content]
    if not isinstance(content, list):
        raise Wrong("it holds no list of objects: write `[{...}, {...}]`, or an object a line")
    return _objects(part, list(enumerate(content, 1)), ", item ", encoding)


def _objects(part: Part, rows: Sequence[tuple[int, Any]], word: str, encoding: str) -> pd.DataFrame:
    """A key that an object does not have is None in its row."""
    names: dict[str, None] = {}
    for number, row in rows:
        if not isinstance(row, dict):
            raise Wrong(f"{word.strip(' ,:') or 'line'} {number} is no object, as in {{...}}")
        names |= dict.fromkeys(row)
    columns = {name: [row.get(name) for _, row in rows] for name in names}
    return _placed(columns, part, word, [number for number, _ in rows], f"{encoding}, JSON")


def _parquet(part: Part, reading: Reading, wanted: Collection[str] | None) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(part.path if part.content is None else pa.BufferReader(part.content)) as file:
            some = wanted is not None and {*wanted} <= {*file.schema_arrow.names}
            return of_arrow(file.read(sorted({*(wanted or ())}) if some else None), part, "Parquet")
    except (pa.ArrowException, OSError) as error:
        raise Wrong(f"it is no Parquet file that can be read ({error})") from error


def _arrow(part: Part, reading: Reading, wanted: Collection[str] | None) -> pd.DataFrame:
    """Arrow's own files, and the streams that `datasets` writes."""
    import pyarrow as pa

    content = part.read()
    try:
        opened = (pa.ipc.open_file if content.startswith(b"ARROW1") else pa.ipc.open_stream)(content)
        found = opened.read_all()
    except (pa.ArrowException, OSError) as error:
        raise Wrong(f"it is no Arrow file that can be read ({error})") from error
    some = wanted is not None and {*wanted} <= {*found.column_names}
    return of_arrow(found.select(sorted({*(wanted or ())})) if some else found, part, "Arrow")


def of_arrow(found: pa.Table, part: Part, read: str) -> pd.DataFrame:
    """An Arrow table: whole numbers and truth values with nulls, and lists, as Python has them."""
    import pyarrow as pa

    def column(name: str) -> Any:
        values = found[name]
        kind = values.type
        if pa.types.is_dictionary(kind):
            values = values.cast(kind.value_type)
        whole = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        if pa.types.is_nested(kind) or (whole and values.null_count):
            return values.to_pylist()
        return values.to_pandas()

    columns = {name: column(name) for name in found.column_names}
    return _placed(columns, part, ", row ", range(1, len(found) + 1), read)


def _excel(part: Part, reading: Reading, wanted: Collection[str] | None) -> pd.DataFrame:
    """A sheet whose first row names the columns."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise Wrong("Excel files need openpyxl: pip install 'synth-assets[excel]'") from error
    try:
        opened = load_workbook(io.BytesIO(part.read()), read_only=True, data_only=True)
    except KeyError as error:  # a zip file of something else
        raise Wrong(f"it is no workbook of Excel's ({error.args[0]})") from error
    with closing(opened) as book:
        if reading.sheet is not None and reading.sheet not in book.sheetnames:
            raise unknown("sheet", reading.sheet, book.sheetnames)
        sheet = book[reading.sheet or book.sheetnames[0]]
        all_rows = enumerate(sheet.iter_rows(values_only=True), 1)
        rows = [(n, row) for n, row in all_rows if any(cell is not None for cell in row)]
    if not rows:
        raise Wrong("the file is empty.")
    width = max(len(row) for _, row in rows)
    head, *body = [(n, (*row, *[None] * (width - len(row)))) for n, row in rows]
    names = _different(["" if name is None else str(name) for name in head[1]])
    columns = {name: [row[at] for _, row in body] for at, name in enumerate(names)}
    return _placed(columns, part, ", row ", [n for n, _ in body], f"sheet {sheet.title}")


def _database(part: Part, reading: Reading) -> pd.DataFrame:
    """A table of SQLite or DuckDB, or what a query gives; read only."""
    if part.content is not None:
        raise Wrong("a database inside of an archive is not read: unpack it")
    with part.path.open("rb") as file:
        head = file.read(16)
    return _sqlite(part, reading) if head.startswith(b"SQLite format 3") else _duckdb(part, reading)


def _sqlite(part: Part, reading: Reading) -> pd.DataFrame:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(part.path))}?mode=ro", uri=True)) as connection:
            listed = connection.execute(
                "select name from sqlite_master where type in ('table', 'view') and name not like 'sqlite_%'"
            )
            answer = connection.execute(_query(reading, [name for (name,) in listed]))
            names, rows = _different([column[0] for column in answer.description or ()]), answer.fetchall()
    except sqlite3.Error as error:
        raise Wrong(f"SQLite: {error}") from error
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    return _placed(columns, part, ", row ", range(1, len(rows) + 1), "SQLite")


def _duckdb(part: Part, reading: Reading) -> pd.DataFrame:
    import duckdb

    try:
        with duckdb.connect(str(part.path), read_only=True) as connection:
            listed = connection.execute("select table_name from information_schema.tables").fetchall()
            answer = connection.execute(_query(reading, [name for (name,) in listed])).to_arrow_table()
    except duckdb.Error as error:
        raise Wrong(f"DuckDB: {error}") from error
    return of_arrow(answer.rename_columns(_different(answer.column_names)), part, "DuckDB")


def _query(reading: Reading, tables: Sequence[str]) -> str:
    if reading.query is not None:
        return reading.query
    if reading.table is None and len(tables) != 1:
        known = ", ".join(sorted(tables)) or "none"
        raise Wrong(f"which table? Write `read: {{table: ...}}` or `read: {{query: ...}}`. Tables: {known}")
    wanted = reading.table or tables[0]
    if wanted not in tables:
        raise unknown("table", wanted, tables)
    return f'select * from "{wanted.replace(chr(34), 2 * chr(34))}"'


DATABASES = (".db", ".sqlite", ".sqlite3", ".duckdb")
Reader = Callable[[Part, Reading, Collection[str] | None], Any]
READERS: Mapping[str, Reader] = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), _delimited),
    **dict.fromkeys((".jsonl", ".ndjson"), _lines),
    ".json": _json,
    **dict.fromkeys((".conll", ".iob", ".bio"), _conll),
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".xlsx": _excel,
}
FORMATS = (*READERS, *DATABASES)
