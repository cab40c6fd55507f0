"""Students: small models that are trained on the data, to test it and to steer it."""
