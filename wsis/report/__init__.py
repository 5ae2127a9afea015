"""A comparison as one self-contained HTML page."""

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
