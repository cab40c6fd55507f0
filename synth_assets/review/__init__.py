"""The review page: people answer what a recipe asks about its rows, one row at a time."""
