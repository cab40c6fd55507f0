"""What of the installation is not there that a round can do without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from synth_assets.core.errors import NotInstalled

if TYPE_CHECKING:
    from synth_assets.recipe.recipe import Recipe

WITHOUT = "Until then, what rests on it is unknown: students that read its vectors, distances between texts."


def _no_encoder(recipe: Recipe) -> str:
    """Why there are no vectors; empty where there are."""
    from synth_assets.resources.own_encoder import chosen
    from synth_assets.resources.packages import PARTS

    if recipe.encoder is None:
        return PARTS["encoder"].missing()
    try:
        chosen(recipe.encoder, None).folder()
    except NotInstalled as error:
        return str(error)
    return ""


def missing(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What of the installation is not there that a round can do without, and what is then unknown."""
    if why := _no_encoder(recipe):
        yield "missing", why
        yield "", WITHOUT
        if needed := [name for name, rule in recipe.filters.items() if rule.encodes]:
            yield "", f"Rows without a score are dropped: by {', '.join(needed)}, all of them."
