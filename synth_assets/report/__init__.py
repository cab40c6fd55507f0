"""Pages: the report on a round, the comparison, the card, the story of a row."""
