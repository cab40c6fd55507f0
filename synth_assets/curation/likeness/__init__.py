"""How alike texts are: copies, near copies, novelty."""
