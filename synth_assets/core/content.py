"""Rows and texts by their content, in memory as on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def text_hash(text: str) -> str:
    """Of any text, also of one that is no Unicode."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def content_hash(table: pa.Table) -> str:
    """Hash of names, types and values, in memory as on disk: the partition's data version.

    The bytes of a table would not do: Arrow leaves open what stands in the place of a null.
    """
    digest = hashlib.sha256()
    for name in table.column_names:
        digest.update(f"{name}\n".encode())
        _digest(table[name].combine_chunks(), digest.update)
    return digest.hexdigest()[:32]


def _digest(array: pa.Array, update: Callable[[bytes | memoryview], None]) -> None:
    """Type, nulls, and the values that are not null; of lists and structs those of their parts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    update(array.is_null().to_numpy(zero_copy_only=False).tobytes())
    values = array.drop_null()
    if pa.types.is_struct(values.type):
        for field, part in zip(values.type, values.flatten(), strict=True):
            update(f"struct {field.name}\n".encode())
            _digest(part, update)
    elif pa.types.is_list(values.type):
        update(b"list\n" + pc.list_value_length(values).to_numpy(zero_copy_only=False).tobytes())
        _digest(values.flatten(), update)
    elif pa.types.is_string(values.type):
        update(b"string\n" + pc.binary_length(values).to_numpy(zero_copy_only=False).tobytes())
        update(_text_of(values))
    else:
        update(f"{values.type}\n".encode() + values.to_numpy(zero_copy_only=False).tobytes())


def _text_of(values: pa.Array) -> bytes | memoryview:
    """The UTF-8 of these strings, none of which is null, one after the other, as Arrow holds it: no copy."""
    _, offsets, text = values.buffers()
    if text is None or not len(values):
        return b""
    ends = memoryview(offsets).cast("B").cast("i")
    return memoryview(text)[ends[values.offset] : ends[values.offset + len(values)]]
