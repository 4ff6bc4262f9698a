"""What a training run leaves for people: pictures of held-out tiles, curves, TensorBoard logs, a page."""

from training.report.page import write_report
from training.report.pictures import TilePictures

__all__ = ["TilePictures", "write_report"]
