"""``report.html``: one file, no network, from the contents of ``report.json`` and the figures."""

from collections.abc import Mapping
from typing import Any

import jinja2

from caloforge.report import formatting
from caloforge.report.naming import sample_names

__all__ = ["environment", "render_page"]

_SECTIONS = (
    ("classifier", "Classifier test", "classifiers"),
    ("failures", "Where it fails", "features"),
    ("ranking", "Among the CaloChallenge's submissions", "ranking"),
    ("distances", "Distances", "distances"),
    ("single", "Single showers", "single_showers"),
    ("pictures", "Average showers, profiles, correlations", "average_showers"),
    ("features", "Features", "features"),
    ("voxels", "Single voxels", "single_voxels"),
    ("neighbours", "Copies and nearest neighbours", "neighbours"),
    ("samples", "Samples and settings", "samples"),
    ("reading", "How to read the numbers", "samples"),
)
"""Name of the template, title, and the entry of the report without which the section is left out."""


def environment() -> jinja2.Environment:
    """Templates with our number formats; everything is escaped, as provenance is what a file says."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("caloforge.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= formatting.FILTERS
    return found


def render_page(report: Mapping[str, Any], images: Mapping[str, str]) -> str:
    """The page as text.

    Args:
        report: Contents of ``report.json``.
        images: Name to ``data:`` address, from :func:`~caloforge.report.figures.draw_figures`.
    """
    rows = {row["name"]: row for row in report["features"]}
    tests = report.get("classifiers") or []
    return (
        environment()
        .get_template("report.html")
        .render(
            report=report,
            names=sample_names(report["samples"]),
            images=images,
            tests=tests,
            has_floor=any(test["floor"] for test in tests),
            negative_jsd=any(
                found["jsd"] < 0 for test in tests for found in (test["result"], test["floor"]) if found
            ),
            worst=[rows[name] for name in report["verdict"]["worst_features"]],
            sections=[(name, title) for name, title, entry in _SECTIONS if report.get(entry)],
        )
    )
