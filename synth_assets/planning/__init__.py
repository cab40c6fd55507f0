"""What a round would make and pay, before it does."""
