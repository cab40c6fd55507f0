"""What talks to the world: language model, call log, lake, warehouse, encoder, local model server."""
