"""Small objects of an object store, or of a folder, by their names."""

from __future__ import annotations

import os
import re
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

SAID = "SYNTH_LAKE is"
ATTEMPTS = 11  # to reach a store, which take a minute
OPTIONS = {  # all else comes from the usual variables, AWS_ACCESS_KEY_ID say
    "aws_conditional_put": "etag",
    **{"max_retries": "200", "retry_timeout": "60s", "backoff_config.max_backoff": "5s"},  # it may be away
}


class Objects:
    """What lies under one address; the key comes from the usual variables."""

    def __init__(self, where: str) -> None:
        self.where = where.rstrip("/")

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
        if scheme != "file":
            from synth_assets.resources.storage.delta_objects import file_system

            bucket, _, prefix = rest.partition("/")
            return file_system(f"{scheme}://{bucket}", OPTIONS), prefix
        return pafs.LocalFileSystem(), rest

    def _at(self, *names: str) -> str:
        """The path in the store."""
        _, base = self.opened_at
        return "/".join(filter(None, [base, *names]))

    def get(self, name: str) -> bytes | None:
        """None where there is none."""
        files, _ = self.opened_at
        try:
            with files.open_input_stream(self._at(name)) as file:
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
        files, _ = self.opened_at
        if self.where.startswith("file://"):
            files.create_dir(self._at(name).rpartition("/")[0])
        return files.open_output_stream(self._at(name))

    def opened(self, name: str) -> pa.NativeFile:
        """To read parts of it."""
        files, _ = self.opened_at
        return files.open_input_file(self._at(name))

    def below(self, folder: str) -> dict[str, list[int]]:
        """All that is below a folder: its name there -> when it was written (ns), and its size."""
        import pyarrow.fs as pafs

        files, _ = self.opened_at
        at = self._at(folder)
        found = files.get_file_info(pafs.FileSelector(at, allow_not_found=True, recursive=True))
        of_files = (each for each in found if each.type == pafs.FileType.File)
        return {each.path.removeprefix(f"{at}/"): [each.mtime_ns or 0, each.size] for each in of_files}

    def mark(self, name: str) -> list[int]:
        """When an object was written (ns), and its size."""
        files, _ = self.opened_at
        info = files.get_file_info(self._at(name))
        return [info.mtime_ns or 0, info.size]

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        files, _ = self.opened_at
        with suppress(FileNotFoundError):
            files.delete_file(self._at(name))

    def folders(self, *names: str) -> list[str]:
        """What is below a folder, sorted."""
        import pyarrow.fs as pafs

        files, _ = self.opened_at
        found = files.get_file_info(pafs.FileSelector(self._at(*names), allow_not_found=True))
        return sorted(each.base_name for each in found if each.type == pafs.FileType.Directory)


def in_a_line(error: OSError) -> str:
    """What deltalake says in colors and over lines; not the store's document, which can hold a key's id, nor
    what is asked behind an address, which may be signed."""
    words = re.sub(r"\x1b\[\d+m|↳|(?<=\w)\?\S+", "", str(error)).partition("<?xml")[0]
    return " ".join(words.split())


@contextmanager
def reached(objects: Objects) -> Iterator[None]:
    """UserError where the store does not answer."""
    try:
        yield
    except OSError as error:
        raise UserError(str(unreached(objects.where, error))) from error


def unreached(where: str, error: OSError) -> OSError:
    """What a store says that does not answer, or refuses."""
    if str(error).startswith(SAID):
        return error
    fix = "is the store there, and are its address and key right?"
    return OSError(f"{SAID} {where}, which cannot be read or written: {fix} ({in_a_line(error)[:300]})")
