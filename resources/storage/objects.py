"""Small objects of an object store, or of a folder, by their names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_assets.core.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs

ATTEMPTS = 11  # to reach a store, which take a minute


class Objects:
    """What lies under one address; the key comes from the usual variables."""

    def __init__(self, where: str) -> None:
        self.where = where

    @cached_property
    def opened_at(self) -> tuple[pafs.FileSystem, str]:
        """The store, and the path in it."""
        import pyarrow.fs as pafs

        scheme, _, rest = self.where.partition("://")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if scheme == "s3":
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
            patient = pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
            at: dict[str, Any] = {"region": region, "endpoint_override": endpoint or None}
            return pafs.S3FileSystem(retry_strategy=patient, **at), rest
        if scheme == "file":
            return pafs.LocalFileSystem(), rest
        found: tuple[pafs.FileSystem, str] = pafs.FileSystem.from_uri(self.where)
        return found

    def get(self, name: str) -> bytes | None:
        """None where there is none."""
        files, base = self.opened_at
        try:
            with files.open_input_stream(f"{base}/{name}") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def put(self, name: str, content: bytes) -> None:
        with self._sink(name) as sink:
            sink.write(content)

    def upload(self, name: str, file: Path) -> None:
        """A file of this machine, whatever its size."""
        with file.open("rb") as source, self._sink(name) as sink:
            shutil.copyfileobj(source, sink, 2**20)

    def _sink(self, name: str) -> pa.NativeFile:
        files, base = self.opened_at
        if self.where.startswith("file://"):
            files.create_dir(f"{base}/{name}".rpartition("/")[0])
        return files.open_output_stream(f"{base}/{name}")

    def opened(self, name: str) -> pa.NativeFile:
        """To read parts of it."""
        files, base = self.opened_at
        return files.open_input_file(f"{base}/{name}")

    def below(self, folder: str) -> dict[str, list[int]]:
        """All that is below a folder: its name there -> when it was written (ns), and its size."""
        import pyarrow.fs as pafs

        files, base = self.opened_at
        at = f"{base}/{folder}"
        found = files.get_file_info(pafs.FileSelector(at, allow_not_found=True, recursive=True))
        of_files = (each for each in found if each.type == pafs.FileType.File)
        return {each.path.removeprefix(f"{at}/"): [each.mtime_ns or 0, each.size] for each in of_files}

    def mark(self, name: str) -> list[int]:
        """When an object was written (ns), and its size."""
        files, base = self.opened_at
        info = files.get_file_info(f"{base}/{name}")
        return [info.mtime_ns or 0, info.size]

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        files, base = self.opened_at
        with suppress(FileNotFoundError):
            files.delete_file(f"{base}/{name}")

    def folders(self, *names: str) -> list[str]:
        """What is below a folder, sorted."""
        import pyarrow.fs as pafs

        files, base = self.opened_at
        found = files.get_file_info(pafs.FileSelector("/".join([base, *names]), allow_not_found=True))
        return sorted(each.base_name for each in found if each.type == pafs.FileType.Directory)


@contextmanager
def reached(objects: Objects) -> Iterator[None]:
    """UserError where the store does not answer."""
    try:
        yield
    except OSError as error:
        why = " ".join(str(error).split())[:200]
        fix = "is the store there, and are its address and key right?"
        raise UserError(
            f"SYNTH_LAKE is {objects.where}, which cannot be read or written: {fix} ({why})"
        ) from error
