"""The recipe: one YAML file that describes one data set."""
