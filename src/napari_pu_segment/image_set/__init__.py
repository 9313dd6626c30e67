"""A folder of images looked through: what `core.curation` finds out about it, as a report."""

from .lists import ALL, DUPLICATES, NEXT, SORTS, SUSPECTED, facts, group_title, lists, ordered, words_of
from .ranking import ranking
from .report import REPORTS, SetReport, curating, writing
from .scan import Refused, Scan, ScanSettings, read_values, scanning

__all__ = [
    "ALL",
    "DUPLICATES",
    "NEXT",
    "REPORTS",
    "SORTS",
    "SUSPECTED",
    "Refused",
    "Scan",
    "ScanSettings",
    "SetReport",
    "curating",
    "facts",
    "group_title",
    "lists",
    "ordered",
    "ranking",
    "read_values",
    "scanning",
    "words_of",
    "writing",
]
