"""Parts to begin with; ``wsis new`` copies one and renames its class."""
