"""Know your images: duplicates, odd ones, groups and their balance, what to annotate next, masks that look wrong."""

from .budget import agreement
from .curate import UNLIKE, CurateSettings, Curation, curate, unfit
from .duplicates import Pair
from .groups import Group, redrawn
from .look import Look, looking
from .order import ORDERS, doubt_of, next_images
from .quality import MEASURES, Drift, natural
from .suspects import Masked, looking_at_mask

__all__ = [
    "MEASURES",
    "ORDERS",
    "UNLIKE",
    "CurateSettings",
    "Curation",
    "Drift",
    "Group",
    "Look",
    "Masked",
    "Pair",
    "agreement",
    "curate",
    "doubt_of",
    "looking",
    "looking_at_mask",
    "natural",
    "next_images",
    "redrawn",
    "unfit",
]
