"""What is done with texts themselves."""
