"""Where images, tags and masks come from."""

from wsis.data.annotations import UnknownClassError
from wsis.data.coco import CocoData, category_ids, read_annotated, read_tagged
from wsis.data.images import images_in, read_image
from wsis.data.scenes import Scenes

__all__ = [
    "CocoData",
    "Scenes",
    "UnknownClassError",
    "category_ids",
    "images_in",
    "read_annotated",
    "read_image",
    "read_tagged",
]
