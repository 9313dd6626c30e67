"""A folder of images x a model -> results: resumable to the byte, wherever it is killed, on any executor."""

from .plans import BatchPlan, plan, planning
from .work import process, processing
from .report import BatchReport
from .run import Executor, run_batch
from .settings import FORMATS, OUTPUTS, STATES, BatchSettings, Facts, FileReport, FileTask

__all__ = [
    "FORMATS",
    "OUTPUTS",
    "STATES",
    "BatchPlan",
    "BatchReport",
    "BatchSettings",
    "Executor",
    "Facts",
    "FileReport",
    "FileTask",
    "plan",
    "planning",
    "process",
    "processing",
    "run_batch",
]
