"""Data sets: images, their tags and, for evaluation, their masks."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.data.annotations import UnknownClassError
    from wsis.data.coco import CocoData, category_ids, read_annotated, read_tagged
    from wsis.data.exports import ExportedTags, exported_tags
    from wsis.data.folder import FolderData
    from wsis.data.images import images_in, read_image
    from wsis.data.known import KnownTags, known_tags
    from wsis.data.points import Pointed, with_points
    from wsis.data.scenes.drawn import Scenes
    from wsis.data.splits import Folds, Split
    from wsis.data.videos import Frame, frames
    from wsis.data.voc import VocData

__all__ = [
    "CocoData",
    "ExportedTags",
    "FolderData",
    "Folds",
    "Frame",
    "KnownTags",
    "Pointed",
    "Scenes",
    "Split",
    "UnknownClassError",
    "VocData",
    "category_ids",
    "exported_tags",
    "frames",
    "images_in",
    "known_tags",
    "read_annotated",
    "read_image",
    "read_tagged",
    "with_points",
]

__getattr__ = exports(__name__)
