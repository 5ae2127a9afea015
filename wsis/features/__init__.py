"""Backbones, frozen-feature cache and the geometry between them and proposals."""
