"""Where images, tags and masks come from."""

from wsis.data.coco import CocoData, read_annotated, read_tagged
from wsis.data.images import images_in, read_image

__all__ = ["CocoData", "images_in", "read_annotated", "read_image", "read_tagged"]
