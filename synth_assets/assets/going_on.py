"""Long work that says every few seconds that it goes on, where nothing else says anything."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_SECONDS = 5.0


class GoingOn:
    """What is being done at the moment, for those who look on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._doing: list[str] = []

    @contextmanager
    def doing(self, words: str) -> Iterator[None]:
        """While it lasts, it is said with its seconds so far; what is done inside of it, in its place."""
        started, ended = time.monotonic(), threading.Event()
        self._doing.append(words)

        def tell() -> None:
            while not ended.wait(EVERY_SECONDS):
                if self._doing[-1:] == [words]:
                    self._say(f"{words}, {time.monotonic() - started:.0f} s")

        thread = threading.Thread(target=tell, name="going on", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._doing.pop()
            ended.set()
            thread.join()
