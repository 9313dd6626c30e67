"""METHODS: what the plugin can do with an image, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import Model
from ..progress import Work
from ..seeded import Seeded, no_model
from ..settings import Settings
from ..training.one_vs_rest import each_class, one_class
from . import cluster, nuclei, pixel_search, pretrain, pu, reweight, seeded


@dataclass(frozen=True)
class Method:
    """One row of the table of methods.

    Parameters
    ----------
    title : str
    settings : type of Settings
    train : callable
        ``train(samples, settings, *, start=None, cache=None) -> Work[Model]``; `no_model` where nothing is trained. One
        that knows a single class of objects is made to take several by `each_class`.
    needs, makes : str
        What the user gives, and gets, in a few words.
    reference : str
    rough_masks : bool
        Whether it learns from unreliable masks beside strokes.
    needs_strokes : bool
        Whether there must be something painted.
    encodes : bool
        Whether it makes an encoder, of which no segmentation can be made.
    takes_encoder : bool
        Whether its `start` may be an encoder.
    segment : callable or None
        ``segment(sample, settings) -> Work[Seeded]`` of a method that trains nothing: it makes a result of one image.
    briefly : mapping
        What to change in the settings where a training must not take long: a round of live mode that begins anew.
    cut_short : callable
        From the latest preview of a training that is cancelled: what to change in its settings for a further training
        that gives at once what was found; nothing where nothing was.
    """

    title: str
    settings: type[Settings]
    train: Callable[..., Work[Model]]
    needs: str
    makes: str
    reference: str
    rough_masks: bool = False
    needs_strokes: bool = True
    encodes: bool = False
    takes_encoder: bool = False
    segment: Callable[..., Work[Seeded]] | None = None
    briefly: Mapping[str, Any] = field(default_factory=dict)
    cut_short: Callable[[object], dict[str, Any]] = lambda preview: {}


METHODS: dict[str, Method] = {
    "pu": Method(
        title="Positive-unlabelled (PU, PNU)",
        settings=pu.PuSettings,
        train=each_class(pu.train),
        needs="strokes on objects; strokes on background are welcome",
        makes="probability, mask, refined mask",
        reference="Kiryo et al. 2017, arXiv:1703.00593; Sakai et al. 2017, arXiv:1605.06955",
        takes_encoder=True,
    ),
    "reweight": Method(
        title="Unreliable masks, few reliable labels",
        settings=reweight.ReweightSettings,
        train=each_class(reweight.train),
        needs="unreliable masks of some images; strokes or reliable masks of at least one",
        makes="probability, mask, refined mask; how far each label may be trusted",
        reference="Mirikharaji, Yan, Hamarneh 2019, arXiv:1906.03639",
        rough_masks=True,
        takes_encoder=True,
    ),
    "cluster": Method(
        title="No strokes: clusters of pixels",
        settings=cluster.ClusterSettings,
        train=one_class(cluster.train),
        needs="images alone; a dab on an object tells which cluster is meant",
        makes="probability, mask, refined mask",
        reference="Dempster, Laird, Rubin 1977, JRSS B 39:1; Kingma & Welling 2014, arXiv:1312.6114",
        needs_strokes=False,
        takes_encoder=True,
    ),
    "pretrain": Method(
        title="Encoder: features from images alone",
        settings=pretrain.PretrainSettings,
        train=pretrain.train,
        needs="images alone, the more the better",
        makes="an encoder, which other methods look through; no probability",
        reference="Chen et al. 2020, arXiv:2002.05709; Caron et al. 2021, arXiv:2104.14294",
        needs_strokes=False,
        encodes=True,
    ),
    "pixel_search": Method(
        title="Search for a pixel classifier",
        settings=pixel_search.PixelSearchSettings,
        train=pixel_search.train,
        needs="strokes on objects; strokes on background are welcome; the extra `search`",
        makes="probability, mask, refined mask; the best of many filters and scikit-learn classifiers",
        reference="Arganda-Carreras et al. 2017, Bioinformatics 33:2424; Akiba et al. 2019, arXiv:1907.10902",
        briefly={"n_trials": 4},
        cut_short=pixel_search.cut_short,
    ),
    "random_walker": Method(
        title="Random walker (no training)",
        settings=seeded.RandomWalkerSettings,
        train=no_model,
        needs="strokes on objects and on background, in an image of at most 4 million pixels",
        makes="probability, mask, refined mask of this image alone; no model",
        reference="Grady 2006, IEEE Trans. Pattern Anal. Mach. Intell. 28, 1768",
        segment=seeded.random_walker,
    ),
    "watershed": Method(
        title="Watershed (no training)",
        settings=seeded.WatershedSettings,
        train=no_model,
        needs="strokes on objects and on background, in an image of at most 33 million pixels",
        makes="mask, refined mask of this image alone; no model",
        reference="Beucher, Lantuéjoul 1979; scikit-image",
        segment=seeded.watershed,
    ),
    "nuclei": Method(
        title="Nuclei (no training)",
        settings=nuclei.NucleiSettings,
        train=no_model,
        needs="an RGB image of stained tissue, or bright or dark nuclei; at most 8 million pixels; no strokes",
        makes="probability, mask, refined mask of this image alone: proposals; no model",
        reference="Lindeberg 1998, Int. J. Comput. Vis. 30, 79; Ruifrok, Johnston 2001; scikit-image",
        needs_strokes=False,
        segment=nuclei.nuclei,
    ),
}
