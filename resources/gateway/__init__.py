"""The gateway: all that goes to a language model and comes back."""
