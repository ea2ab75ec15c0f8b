"""Study folder -> numbers and a report that can be cited. Reads files only; imports neither torch nor Ray."""

from optical_ray.report.images import heatmap_png
from optical_ray.report.load import load_study
from optical_ray.report.study import Study
from optical_ray.report.write import ReportResult, write_report

__all__ = ["ReportResult", "Study", "heatmap_png", "load_study", "write_report"]
