"""Delta tables as DuckDB reads them: by its extensions, which come as packages, and by the key of the usual
variables, which is in a connection alone, and in no view or file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from synth_assets.core.errors import NotInstalled, UserError
from synth_assets.resources.storage import azure

if TYPE_CHECKING:
    import duckdb

EXTRA = "pip install 'synth-assets[cluster]'"
KEY = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", azure.KEY)


def ready(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    """Let DuckDB read Delta tables there: by its extensions, from their packages, and by the key of the usual
    variables, which is in this connection alone and in no file."""
    import duckdb

    for statement in statements(where, os.environ):
        try:
            connection.execute(statement)
        except duckdb.Error as error:
            kind = statement.split(maxsplit=2)[:2]  # the rest may be a key
            raise UserError(f"DuckDB cannot {' '.join(kind)} for {where}: {type(error).__name__}.") from None


def named_only(said: Mapping[str, str]) -> dict[str, str]:
    """The variables, with the names of those that hold a key in the place of their values."""
    return {**said, **{name: f"${{{name}}}" for name in KEY if name in said}}


def statements(where: str, said: Mapping[str, str]) -> Iterator[str]:
    """What a client of DuckDB runs first. `said`: the variables, or what stands in their place."""
    from synth_assets.resources.storage.quoted import literal

    scheme = where.partition("://")[0]
    for name in ("httpfs", "delta", *(["azure"] if scheme == "az" else [])):
        yield f"load {literal(_extension(f'duckdb_extension_{name}'))}"
    if scheme == "s3":
        told = _of_s3(said)
    elif scheme == "az":
        told = ["type azure", *(f"{name} {literal(value)}" for name, value in azure.secret(said).items())]
    else:
        return
    yield f"create or replace secret synth_lake ({', '.join(told)})"


def _of_s3(said: Mapping[str, str]) -> list[str]:
    from synth_assets.resources.storage.quoted import literal

    endpoint = said.get("AWS_ENDPOINT_URL_S3") or said.get("AWS_ENDPOINT_URL") or ""
    options = {
        "key_id": said.get("AWS_ACCESS_KEY_ID"),
        "secret": said.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": said.get("AWS_SESSION_TOKEN"),
        "region": said.get("AWS_REGION") or said.get("AWS_DEFAULT_REGION") or "us-east-1",
        "endpoint": endpoint.partition("://")[2].rstrip("/") or None,
    }
    told = [f"{name} {literal(value)}" for name, value in options.items() if value]
    told += ["url_style 'path'", f"use_ssl {not endpoint.startswith('http://')}".lower()] if endpoint else []
    return ["type s3", *told]


def _extension(module: str) -> str:
    """The file of an extension of this DuckDB."""
    import duckdb

    try:
        folders = list(import_module(module).__path__)
    except ImportError:
        raise NotInstalled(f"SYNTH_LAKE needs the package {module.replace('_', '-')}: {EXTRA}") from None
    for folder in folders:
        for file in Path(folder).rglob("*.duckdb_extension"):
            if duckdb.__version__ in str(file):
                return str(file)
    fix = f"pip install {module.replace('_', '-')}=={duckdb.__version__}"
    raise NotInstalled(f"{module} is of another version than DuckDB, which is {duckdb.__version__}: {fix}")
