"""Text as UTF-8 can hold it."""


def clean(text: str) -> str:
    """The text, in which half an emoji (a lone surrogate), of an answer that was cut, is `?`."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
