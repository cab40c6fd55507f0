"""Small objects of an object store, or of a folder, by their names."""

from __future__ import annotations

import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs as pafs


class Objects:
    """What lies under one address; the key comes from the usual variables."""

    def __init__(self, where: str) -> None:
        self._where = where

    @cached_property
    def opened_at(self) -> tuple[pafs.FileSystem, str]:
        """The store, and the path in it."""
        import pyarrow.fs as pafs

        scheme, _, rest = self._where.partition("://")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if scheme == "s3":
            region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
            return pafs.S3FileSystem(region=region, endpoint_override=endpoint or None), rest
        if scheme == "file":
            return pafs.LocalFileSystem(), rest
        found: tuple[pafs.FileSystem, str] = pafs.FileSystem.from_uri(self._where)
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
        if self._where.startswith("file://"):
            files.create_dir(f"{base}/{name}".rpartition("/")[0])
        return files.open_output_stream(f"{base}/{name}")

    def opened(self, name: str) -> pa.NativeFile:
        """To read parts of it."""
        files, base = self.opened_at
        return files.open_input_file(f"{base}/{name}")

    def folders(self, *names: str) -> list[str]:
        """What is below a folder, sorted."""
        import pyarrow.fs as pafs

        files, base = self.opened_at
        found = files.get_file_info(pafs.FileSelector("/".join([base, *names]), allow_not_found=True))
        return sorted(each.base_name for each in found if each.type == pafs.FileType.Directory)
