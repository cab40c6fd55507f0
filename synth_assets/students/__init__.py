"""Students: small models that are trained on the data, to test it and to steer it."""

LEAST = 10  # rows of a label, of which a student can learn
