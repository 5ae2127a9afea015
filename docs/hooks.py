"""Takes the pages of ``benchmarks/`` into the site, where they lie beside the others.

Links are written as GitHub resolves them, ``../benchmarks/PAGE.md`` and
``../docs/PAGE.md``, and changed on the way to the site.
"""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def on_files(files: Files, config: Any) -> Files:
    """Add the benchmarks' pages and pictures."""
    for path in sorted(BENCHMARKS.iterdir()):
        if path.suffix in (".md", ".svg"):
            name = f"benchmarks/{path.name}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links between the two folders point at their places in the site."""
    if page.file.src_uri.startswith("benchmarks/"):
        return markdown.replace("](../docs/", "](../")
    return markdown.replace("](../benchmarks/", "](benchmarks/")
