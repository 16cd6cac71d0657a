"""``report.html``: one file, no network, from the contents of ``report.json`` and the figures."""

from collections.abc import Mapping
from typing import Any

import jinja2

__all__ = ["render_page"]


def render_page(report: Mapping[str, Any], images: Mapping[str, str]) -> str:
    """The page as text. Everything from the report is escaped: provenance is what a file says.

    Args:
        report: Contents of ``report.json``.
        images: Name to ``data:`` address, from :func:`~caloforge.report.figures.draw_figures`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("caloforge.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(report=report, images=images)
