"""Files of an object store by the library that Delta tables are read with: a file is there as a whole, where
PyArrow's own would show others how it is written (Azure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake.fs import DeltaStorageHandler


def file_system(bucket: str, options: Mapping[str, str]) -> pafs.FileSystem:
    """What is in a bucket, or a container, as `az://container`. `options`: of the library."""
    return pafs.PyFileSystem(_Store(bucket, dict(options)))


class _Store(DeltaStorageHandler):
    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        return pa.PythonFile(_Sink(self._handler.open_output_stream(path, metadata)), mode="w")


class _Sink:
    """Takes bytes of any kind, where the library takes `bytes` alone."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self.closed = False

    def write(self, content: Any) -> int:
        return int(self._sink.write(bytes(content)) or len(content))

    def flush(self) -> None: ...

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._sink.close()
