"""Where sentences end."""

# the signs at the end of one, and what follows up to the next: titles (Dr.) and initials do not end one
END = r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\b(?:Mr|Dr|St|Ms)\.)(?<!\bMrs\.)[\"'”’)\]]*\s+"
# of Chinese and Japanese, Arabic, Urdu, Hindi, Amharic, Burmese, Tibetan and Khmer, with no space or with one
UNSPACED = r"(?<=[。！？؟۔।॥።။།។])[」』\"'”’»）)\]]*\s*"
