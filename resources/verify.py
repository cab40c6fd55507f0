"""Check that the packaged model, encoder weights and seeds are there and whole (run by `make`)."""

import sys

from synth_assets.core.errors import UserError
from synth_assets.resources.gateway.embedded_server import packaged_model
from synth_assets.resources.home import encoder

if __name__ == "__main__":
    try:
        print(f"model {packaged_model().name}: sha256 is right")
        encoder().encode(["weights"])
        print("encoder all-MiniLM-L6-v2: sha256 is right")
    except UserError as error:
        sys.exit(f"error: {error}")
