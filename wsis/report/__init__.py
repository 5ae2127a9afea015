"""Tables of a comparison, pages of comparisons and tunings, and exported predictions.

Results come in as plain dictionaries, as ``results.json`` and ``tune.json`` have them.
"""

from typing import TYPE_CHECKING

from wsis._support.lazy import exports

if TYPE_CHECKING:
    from wsis.report.doubts import REVIEW, Doubt, review, unplaced, write_review
    from wsis.report.files import (
        RESULTS,
        ReportError,
        rebuild,
        write_report,
        write_tuned,
    )
    from wsis.report.formats import FORMATS, Exported, Format, Style, export
    from wsis.report.found import write_found
    from wsis.report.gallery import Panel, Strip, strips
    from wsis.report.page import render, render_tuned
    from wsis.report.tables import (
        BOUNDS,
        METRICS,
        SHARED,
        Row,
        caption,
        figure,
        said,
        shared,
        spread,
        table,
        to_csv,
        to_html,
        to_markdown,
        to_text,
    )

__all__ = [
    "BOUNDS",
    "FORMATS",
    "METRICS",
    "RESULTS",
    "REVIEW",
    "SHARED",
    "Doubt",
    "Exported",
    "Format",
    "Panel",
    "ReportError",
    "Row",
    "Strip",
    "Style",
    "caption",
    "export",
    "figure",
    "rebuild",
    "render",
    "render_tuned",
    "review",
    "said",
    "shared",
    "spread",
    "strips",
    "table",
    "to_csv",
    "to_html",
    "to_markdown",
    "to_text",
    "unplaced",
    "write_found",
    "write_report",
    "write_review",
    "write_tuned",
]

__getattr__ = exports(__name__)
