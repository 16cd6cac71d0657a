"""The judgement of a sample in one folder: numbers, plots, and one page."""

from caloforge.report.compare import compare_reports
from caloforge.report.run import evaluate
from caloforge.report.schema import SCHEMA_VERSION, load_report
from caloforge.report.settings import EvaluationSettings

__all__ = ["SCHEMA_VERSION", "EvaluationSettings", "compare_reports", "evaluate", "load_report"]
