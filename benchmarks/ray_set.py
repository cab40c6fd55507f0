"""Near duplicates of a large set, dropped by workers of Ray and by this process: the same rows and scores?

    python benchmarks/ray_set.py                     # 1,000,000 rows, on two workers
    python benchmarks/ray_set.py --rows 100000

Rows have 30 words of 20,000; 2 % are copies, 5 % have one or two words changed.
Word n-grams of 1 to 3, Jaccard .8. Each contestant is a process of its own. Seconds are of the call, with
Ray's workers already there; peak memory is of the process, and of Ray's workers besides, with the shared
memory that they look at. On one machine Ray can only be slower: what it buys is memory and processors of
others. A difference is exit code 1.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from argparse import ArgumentParser
from hashlib import sha256
from pathlib import Path

WORDS, LIMIT, WORKERS = 30, 0.8, 2


def texts(count: int) -> list[str]:
    """Rows, and copies and near copies among them."""
    chance = random.Random(7)
    vocabulary = [f"{chance.getrandbits(40):x}" for _ in range(20_000)]
    made = list[str]()
    for _ in range(count):
        kind = chance.random()
        if made and kind < 0.07:
            words = chance.choice(made).split(" ")
            for _ in range(chance.randint(1, 2) if kind > 0.02 else 0):
                words[chance.randrange(len(words))] = chance.choice(vocabulary)
        else:
            words = chance.choices(vocabulary, k=WORDS)
        made.append(" ".join(words))
    return made


def peak(pid: str) -> float:
    """MiB that a process held at its most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def one(by: str, count: int) -> None:
    from synth_assets.curation.likeness.duplicates import near_duplicates
    from synth_assets.resources.ray_engine import RayEngine

    rows = texts(count)
    engine = RayEngine(lambda words: print(words, file=sys.stderr)) if by == "ray" else None
    start = time.time()
    scores, nearest = near_duplicates(rows, LIMIT, engines=(lambda _: engine) if engine else None)
    line = {
        "seconds": round(time.time() - start),
        "own_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "dropped": sum(score > LIMIT for score in scores),
        "sha256": sha256(json.dumps([scores, nearest]).encode()).hexdigest(),
    }
    if engine:
        workers = [p.parent.name for p in Path("/proc").glob("[0-9]*/cmdline") if b"ray::" in p.read_bytes()]
        line["workers_mib"] = round(sum(peak(pid) for pid in workers))
    print(json.dumps(line))


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--by", choices=["ray", "here"], help="only this contestant, without a comparison")
    given = parser.parse_args()
    if given.by:
        one(given.by, given.rows)
        return 0
    found = {}
    for by in ("here", "ray"):
        command = [sys.executable, __file__, "--rows", str(given.rows), "--by", by]
        environment = {**os.environ, "LOKY_MAX_CPU_COUNT": str(WORKERS)}
        done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
        found[by] = json.loads(done.stdout.splitlines()[-1])
        print(by, found[by], flush=True)
    same = found["here"]["sha256"] == found["ray"]["sha256"]
    print("the same rows, scores and nearest rows" if same else "THEY DIFFER")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
