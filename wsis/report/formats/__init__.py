"""Predictions written in the formats of other programs, with copies of the photos."""

from wsis.report.formats._export import FORMATS, Exported, Format, export
from wsis.report.formats._photos import Photo, Style, photos_of

__all__ = ["FORMATS", "Exported", "Format", "Photo", "Style", "export", "photos_of"]
