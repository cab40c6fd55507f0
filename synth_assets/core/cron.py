"""Cron lines: minute, hour, day of the month, month, day of the week."""

from __future__ import annotations

FIELDS = {"minute": (0, 59), "hour": (0, 23), "day of the month": (1, 31), "month": (1, 12)}
DAY = {"day of the week": (0, 7)}
NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "day of the week": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}


def wrong(line: str) -> str | None:
    """What is wrong with the line; None where it is right, and where it is written in a rarer way than this
    reads (`L`, `#`): Dagster knows more of them."""
    fields = line.split()
    if len(fields) != 5:
        return f"{line!r} has {len(fields)} fields"
    for (name, (low, high)), field in zip((FIELDS | DAY).items(), fields, strict=True):
        for each in field.split(","):
            start, _, end = each.partition("/")[0].partition("-")
            for number in filter(str.isdecimal, (start, end)):
                if not low <= int(number) <= high:
                    return f"its {name} is {number}, which is not from {low} to {high}"
            words = [word for word in (start, end) if word.isalpha() and word != "L"]
            if bad := [word for word in words if word.lower() not in NAMES.get(name, [])]:
                return f"its {name} is {bad[0]!r}"
    return None
