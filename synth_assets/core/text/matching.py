"""A regular expression of a user's on many texts, with a limit of time a text: some patterns take longer than
the age of the world on some texts, and Python's `re` cannot be told to stop in any thread but the first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

SECONDS = 1.0  # of processor time, of one text: on a busy machine no row is lost
MEMORY_MIB = 2048
BATCH = 256  # texts that are looked at before what came of them is told
FOUND = {ord("1"): True, ord("0"): False, ord("?"): None}
# In a process of its own: the pattern on each text, and a sign that says what came of it.
WORKER = """
import json, os, re, resource, signal, sys

def too_long(*_):
    raise TimeoutError

signal.signal(signal.SIGVTALRM, too_long)
seconds, mib, batch = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
pattern, texts = json.load(sys.stdin)
matches = re.compile(pattern).fullmatch
try:
    resource.setrlimit(resource.RLIMIT_AS, (mib * 2**20,) * 2)
except ValueError:  # macOS knows the limit, and refuses to set it
    pass

def signs(texts):
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        found = bytes([49 if matches(text) else 48 for text in texts])
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return found
    except (TimeoutError, MemoryError):
        return b"?" if len(texts) == 1 else b"".join(signs([text]) for text in texts)

for start in range(0, len(texts), batch):
    os.write(1, signs(texts[start : start + batch]))
"""


def whole_matches(pattern: str, texts: Sequence[str], seconds: float = SECONDS) -> list[bool | None]:
    """(n,) whether the whole text matches; None where that was not found out in `seconds`, or in 2 GiB."""
    found: list[bool | None] = []
    command = [sys.executable, "-I", "-S", "-c", WORKER, str(seconds), str(MEMORY_MIB)]
    batch = BATCH
    while len(found) < len(texts):
        given = json.dumps([pattern, list(texts[len(found) :])]).encode()
        done = subprocess.run([*command, str(batch)], input=given, capture_output=True, check=False)
        found += [FOUND[sign] for sign in done.stdout]
        if len(found) < len(texts):  # the system ended it, over a text of this batch
            found += [None] if batch == 1 else []
            batch = 1
    return found
