"""From a study's folder to numbers and a report one can cite: reads files only, knows no torch and no Ray."""

from optical_ray.analysis.load import load_study
from optical_ray.analysis.pictures import heatmap_png
from optical_ray.analysis.report import ReportResult, write_report
from optical_ray.analysis.study import Study

__all__ = ["ReportResult", "Study", "heatmap_png", "load_study", "write_report"]
