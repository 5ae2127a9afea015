"""A comparison as one self-contained HTML page."""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.report.files import ReportError, rebuild, write_report
    from wsis.report.gallery import Panel, Strip, strips
    from wsis.report.page import figure, render

__all__ = [
    "Panel",
    "ReportError",
    "Strip",
    "figure",
    "rebuild",
    "render",
    "strips",
    "write_report",
]

__getattr__ = exports(__name__)
