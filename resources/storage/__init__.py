"""The lake, the warehouse over it, and the files that users bring."""
