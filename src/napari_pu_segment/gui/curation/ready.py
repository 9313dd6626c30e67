"""Large libraries, imported before they are needed."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Sequence

from napari_pu_segment.core.progress import Progress, Work

GETTING_READY = "Getting ready"


def importing(modules: Sequence[str]) -> Work[None]:
    """Import modules, while Python looks for no garbage; let `gc.collect` follow.

    Once a quarter of all objects is new, Python looks through all of them, and no thread goes on meanwhile: 0.25 s
    beside napari and torch, or several times that in the thread of a job, which gives way to other programs (2.2 s
    measured). A large library brings a fifth. So this is not left to come in the midst of a job.
    """
    looked_for = gc.isenabled()
    gc.disable()
    try:
        for step, name in enumerate(modules):
            yield Progress(step, len(modules), GETTING_READY)
            importlib.import_module(name)
    finally:
        if looked_for:
            gc.enable()
