"""A folder of images x a model -> results: resumable to the byte, wherever it is killed, on any executor."""

from .plans import BatchPlan, plan, planning, size, time_in_words
from .report import BatchReport
from .results import is_large
from .run import Executor, run_batch, told
from .settings import FORMATS, OUTPUTS, STATES, BatchSettings, Facts, FileReport, FileTask
from .work import model_of, process, processing

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
    "is_large",
    "model_of",
    "plan",
    "planning",
    "process",
    "processing",
    "run_batch",
    "size",
    "time_in_words",
    "told",
]
