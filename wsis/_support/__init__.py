"""What all rooms lean on: checks, randomness, files, memory, processes, provenance."""
