"""Predictions written in the formats of other programs, with copies of the photos."""

from wsis.report.formats._export import Exported, export
from wsis.report.formats._format import FORMATS, Format
from wsis.report.formats._photos import Photo, photos_of
from wsis.report.formats._style import Style

__all__ = ["FORMATS", "Exported", "Format", "Photo", "Style", "export", "photos_of"]
