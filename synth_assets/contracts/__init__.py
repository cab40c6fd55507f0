"""What an author of a method writes against."""
