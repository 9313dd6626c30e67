"""Paint a few strokes, get a segmentation: positive-unlabelled learning for napari, Python and the command line."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.from_strokes import from_strokes
    from .core.methods import METHODS
    from .core.model import load_model
    from .core.pipeline import predict, refine, train
    from .core.samples import Sample

__version__ = "0.1.0"
__all__ = ["METHODS", "Sample", "__version__", "from_strokes", "load_model", "predict", "refine", "train"]

_HOMES = {
    "METHODS": "methods",
    "Sample": "samples",
    "from_strokes": "from_strokes",
    "load_model": "model",
    "predict": "pipeline",
    "refine": "pipeline",
    "train": "pipeline",
}


def __getattr__(name: str) -> Any:
    # Lazy, so that `import napari_pu_segment` (which every plugin manager does) does not import torch.
    if name in _HOMES:
        return getattr(import_module(f".core.{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
