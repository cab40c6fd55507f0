"""A regular expression of a user's on many texts, with a limit of time a text: some patterns take longer than
the age of the world on some texts, and Python's `re` cannot be told to stop in any thread but the first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

SECONDS = 1.0  # of processor time, of one text: on a busy machine no row is lost
MEMORY_MIB = 2048
FOUND = {ord("1"): True, ord("0"): False, ord("?"): None}
# In a process of its own: the pattern on each text, and a sign that says what came of it.
WORKER = """
import json, os, re, resource, signal, sys

def too_long(*_):
    raise TimeoutError

signal.signal(signal.SIGVTALRM, too_long)
seconds, mib = float(sys.argv[1]), int(sys.argv[2])
pattern, texts = json.load(sys.stdin)
matches = re.compile(pattern).fullmatch
try:
    resource.setrlimit(resource.RLIMIT_AS, (mib * 2**20,) * 2)
except ValueError:  # macOS knows the limit, and refuses to set it
    pass
for text in texts:
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        sign = b"0" if matches(text) is None else b"1"
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except (TimeoutError, MemoryError):
        sign = b"?"
    os.write(1, sign)
"""


def whole_matches(pattern: str, texts: Sequence[str], seconds: float = SECONDS) -> list[bool | None]:
    """(n,) whether the whole text matches; None where that was not found out in `seconds`, or in 2 GiB."""
    found: list[bool | None] = []
    command = [sys.executable, "-I", "-S", "-c", WORKER, str(seconds), str(MEMORY_MIB)]
    while len(found) < len(texts):
        given = json.dumps([pattern, list(texts[len(found) :])]).encode()
        said = subprocess.run(command, input=given, capture_output=True, check=False).stdout
        found += [FOUND[sign] for sign in said]
        if len(found) < len(texts):  # the system ended it, over this text
            found.append(None)
    return found
