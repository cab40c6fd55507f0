"""The provider's Batch API: requests that are answered hours later, for less."""
