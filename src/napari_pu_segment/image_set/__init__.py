"""A folder of images looked through: what `core.curation` finds out about it, as a report; or an encoder of it."""

from .encoding import CHECKPOINT, Encoded, EncodeSettings, encoding
from .lists import ALL, DUPLICATES, NEXT, SORTS, SUSPECTED, facts, group_title, lists, ordered, seen_by, words_of
from .page import REPORTS, writing
from .ranking import ranking
from .report import SetReport, curating
from .scan import Refused, Scan, ScanSettings, read_values, scanning

__all__ = [
    "ALL",
    "CHECKPOINT",
    "DUPLICATES",
    "NEXT",
    "REPORTS",
    "SORTS",
    "SUSPECTED",
    "EncodeSettings",
    "Encoded",
    "Refused",
    "Scan",
    "ScanSettings",
    "SetReport",
    "curating",
    "encoding",
    "facts",
    "group_title",
    "lists",
    "ordered",
    "ranking",
    "read_values",
    "scanning",
    "seen_by",
    "words_of",
    "writing",
]
