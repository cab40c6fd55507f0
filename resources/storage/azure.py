"""Azure's blob storage for DuckDB, by the variables that deltalake goes by: a key, or whatever lets this
machine in (a managed identity, say)."""

from __future__ import annotations

from collections.abc import Mapping

from synth_assets.core.errors import UserError

NAME, KEY = "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"
EMULATED = "AZURE_STORAGE_USE_EMULATOR"
EMULATOR, EMULATOR_AT = "AZURITE_BLOB_STORAGE_URL", "http://127.0.0.1:10000"


def account(said: Mapping[str, str]) -> str:
    """UserError where none is named."""
    if name := said.get(NAME):
        return name
    why = "SYNTH_LAKE is on Azure, and nothing says of which account"
    raise UserError(f"{why}: set {NAME}, and {KEY} where the machine is not let in without")


def secret(said: Mapping[str, str]) -> dict[str, str]:
    """What a secret of DuckDB says of the account. UserError where none is named."""
    name, key = account(said), said.get(KEY)
    if not key:
        return {"provider": "credential_chain", "account_name": name}
    parts = {"DefaultEndpointsProtocol": "https", "AccountName": name, "AccountKey": key}
    if said.get(EMULATED, "").lower() in ("true", "1"):
        at = said.get(EMULATOR, EMULATOR_AT).rstrip("/")
        parts |= {"DefaultEndpointsProtocol": at.partition("://")[0], "BlobEndpoint": f"{at}/{name}"}
    else:
        parts["EndpointSuffix"] = "core.windows.net"
    return {"connection_string": ";".join(f"{part}={value}" for part, value in parts.items())}
