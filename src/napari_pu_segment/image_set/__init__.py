"""A folder of images looked through: what `core.curation` finds out about it, as a report."""

from .report import REPORTS, SetReport, curating, writing
from .scan import Refused, Scan, ScanSettings, scanning

__all__ = ["REPORTS", "Refused", "Scan", "ScanSettings", "SetReport", "curating", "scanning", "writing"]
