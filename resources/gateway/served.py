"""Where a model answers: at its endpoint, or the embedded server's, which is started again where it ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

from synth_assets.core.errors import UserError
from synth_assets.resources.gateway import embedded_server
from synth_assets.resources.gateway.models import Model

DEATHS = 2  # of the embedded server under one stage, after which starting it again would not help


class Served:
    """A model while one stage asks it."""

    def __init__(self, model: Model, folder: Path) -> None:
        self._model, self._folder = model, folder
        self._deaths, self._one_at_a_time = 0, asyncio.Lock()
        self.url = model.base_url or self._ensured()

    def _ensured(self) -> str:
        return embedded_server.ensure(self._model.file(), self._folder)

    async def is_elsewhere(self, url: str) -> bool:
        """Whether a connection to `url` broke because the embedded server had ended, and another one answers
        by now. UserError when it ends again and again."""
        if self._model.base_url is not None:
            return False
        async with self._one_at_a_time:
            if self.url == url and not await asyncio.to_thread(embedded_server.answers, url):
                self._deaths += 1
                if self._deaths >= DEATHS:
                    how = embedded_server.how_it_ended(url)
                    raise UserError(
                        f"the embedded server has ended {DEATHS} times while it was asked ({how}). End other "
                        "programs, or give the container more memory, and run again: what was answered is "
                        "kept. Or name a model at an endpoint.",
                        "system",
                    )
                self.url = await asyncio.to_thread(self._ensured)
        return self.url != url
