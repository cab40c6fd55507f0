"""One `select`: demonstrations, acquisition and core-sets choose rows in the same way."""
