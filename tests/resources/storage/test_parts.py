"""`weighted` in parts: each round has whole rows, and what rounds share is stored once."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from synth_assets.core.content import content_hash
from synth_assets.core.errors import UserError
from synth_assets.resources.storage import parts
from synth_assets.resources.storage.folder_lake import FolderLake
from synth_assets.resources.storage.parted_lake import PartedLake

DAYS = [f"2026-11-{day:02d}" for day in range(1, 31)]
LABELS = pa.struct([("good", pa.float64()), ("bad", pa.float64())])


@pytest.fixture
def lake(tmp_path: Path) -> PartedLake:
    return PartedLake(FolderLake(tmp_path / "lake"))


def made(days: list[str], n: int = 3, words: str = "text") -> pa.Table:
    """`weighted` of the last of these days: n rows a day, and two seeds."""
    of = [(f"{day} {i}", "synthetic", day) for day in days for i in range(n)]
    of += [(f"seed {i}", "seed", None) for i in range(2)]
    ids, origins, made_in = zip(*of, strict=True)
    return pa.table(
        {
            "row_id": pa.array(ids),
            "round": [days[-1]] * len(of),
            "origin": pa.array(origins),
            "made_in": pa.array(made_in, pa.string()),
            "text": [f"{words if day else None} of {row}" for row, day in zip(ids, made_in, strict=True)],
            "weight": [len(days) + i / 7 for i in range(len(of))],
            "label_probabilities": pa.array(
                [{"good": 0.5, "bad": None} if day else None for day in made_in], LABELS
            ),
        }
    )


def write(lake: PartedLake, *days: str, words: str = "text") -> pa.Table:
    table = made(list(days), words=words)
    lake.write("r", "weighted", {"round": days[-1]}, table)
    return table


def files(lake: PartedLake) -> dict[str, Path]:
    """Part -> its file."""
    root = Path(str(lake), "r", parts.PARTS)
    return {path.parent.name.partition("=")[2]: path for path in root.rglob("*.parquet")}


def test_each_round_has_whole_rows_and_stores_its_own(lake: PartedLake) -> None:
    first, second = write(lake, DAYS[0]), write(lake, *DAYS[:2])
    for day, table in zip(DAYS, (first, second), strict=False):
        place = {"round": day}
        there = lake.table("r", "weighted", place)
        assert there.equals(table)
        assert content_hash(there) == content_hash(table)
        assert lake.table("r", "weighted", place, ["weight", "row_id"]).equals(
            table.select(["row_id", "weight"])
        )
        assert pa.concat_tables(lake.stream("r", "weighted", place, table.schema)).equals(table)
        assert lake.read("r", "weighted", [place], table.schema).equals(table.to_pandas())
        assert lake.size("r", "weighted", place)[0] == len(table)
        assert lake.is_as_written("r", "weighted", place)
    assert len(files(lake)) == 3  # of two rounds, and the seeds
    assert {stage for stage, _ in lake.everything("r")} == {"weighted"}


def test_what_rounds_take_grows_with_their_rows(lake: PartedLake) -> None:
    sizes = []
    for n in range(1, len(DAYS) + 1):
        lake.write("r", "weighted", {"round": DAYS[n - 1]}, made(DAYS[:n], n=200))
        root = Path(str(lake), "r")
        sizes.append(sum(path.stat().st_size for path in root.rglob("*.parquet")))
    weights = 8 * 200  # a row may weigh something else in each round: that alone is stored again
    assert sizes[29] - sizes[28] < 2 * (sizes[1] - sizes[0]) + 29 * weights


def test_a_round_goes_on_having_the_rows_that_it_was_made_of(lake: PartedLake) -> None:
    old = write(lake, *DAYS[:2])
    write(lake, DAYS[0], words="another text")  # the first round is made anew
    assert lake.table("r", "weighted", {"round": DAYS[1]}).equals(old)
    assert len(files(lake)) == 4
    lake.tidy(at_work=["r"])
    assert len(files(lake)) == 4
    lake.remove("r", "weighted", {"round": DAYS[1]})
    lake.tidy()
    assert len(files(lake)) == 2
    lake.remove("r", "weighted", {"round": DAYS[0]})
    lake.tidy()
    assert not files(lake)


def test_what_was_stored_whole_is_read_as_it_is(lake: PartedLake, tmp_path: Path) -> None:
    old = made(DAYS[:1])
    FolderLake(tmp_path / "lake").write("r", "weighted", {"round": DAYS[0]}, old)
    new = write(lake, *DAYS[:2])
    assert lake.table("r", "weighted", {"round": DAYS[0]}).equals(old)
    both = lake.scan_sql("r", "weighted", [{"round": day} for day in DAYS[:2]])
    found = duckdb.sql(f"select * from {both} order by round, row_id").to_arrow_table()
    assert found.column_names == new.column_names
    wanted = pa.concat_tables([old.sort_by("row_id"), new.sort_by("row_id")])
    assert found.cast(wanted.schema).equals(wanted)
    file = lake.file("r", "weighted", {"round": DAYS[1]})
    assert duckdb.sql(f"select * from '{file}'").to_arrow_table().num_rows == len(new)


def test_a_part_that_is_gone_or_changed_is_named_and_comes_back(lake: PartedLake) -> None:
    table, place = write(lake, *DAYS[:2]), {"round": DAYS[1]}
    (gone, lost), (changed, path), _ = files(lake).items()
    content = path.read_bytes()
    path.write_bytes(content[:-9] + content[-8:] + b"?")
    assert not lake.is_as_written("r", parts.PARTS, {parts.PART: changed})
    assert not lake.is_as_written("r", "weighted", place)
    lake.remove("r", parts.PARTS, {parts.PART: changed})
    lost.unlink()
    with pytest.raises(UserError, match=r"r\.weighted: there is no .*, which rounds share: `synth verify r"):
        lake.table("r", "weighted", place)
    assert lake.size("r", "weighted", place)[0] == len(table)
    write(lake, *DAYS[:2])
    assert lake.table("r", "weighted", place).equals(table)
    assert gone in files(lake)


def test_rows_of_another_kind_are_stored_whole(lake: PartedLake) -> None:
    for table in (pa.table({"n": [1]}), made(DAYS[:1]).slice(0, 0)):
        lake.write("r", "weighted", {"round": DAYS[0]}, table)
        assert lake.table("r", "weighted", {"round": DAYS[0]}).equals(table)
    assert not files(lake)
