"""A page on this machine to look through predictions, and to decide about them.

It is built on NiceGUI: ``pip install 'wsis[viewer]'``.
"""

try:
    import nicegui  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"wsis show needs NiceGUI, which cannot be imported ({error}): "
        "pip install 'wsis[viewer]'"
    ) from error

from wsis.report.viewer.server import View, serve

__all__ = ["View", "serve"]
