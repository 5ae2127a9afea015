"""Helpers of all rooms: checks, randomness, files, memory, processes, provenance."""
