"""The sandbox: code and SQL of a model, run where they can do no harm."""
