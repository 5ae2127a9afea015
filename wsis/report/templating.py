"""Pages made of the package's templates."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def filled(template: str, **values: Any) -> str:
    """A template with its values; every value is escaped, a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("wsis.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
