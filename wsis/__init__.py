"""Instance masks from image-level tags: weakly supervised instance segmentation."""

__version__ = "0.1.0"
