"""Several classes of objects by a method that knows one: each is trained against the rest, then they are mixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias, cast

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from ..card import Card, ClassCard, tensors_hash
from ..classes import BACKGROUND, common_classes, one_vs_rest
from ..errors import InputError
from ..model import Model
from ..networks import OneVsRest
from ..progress import Progress, Result, Work, shifted
from ..samples import NEGATIVE, ONE_CLASS, Sample, code_of
from .fit import FeatureCache
from .patches import Sampler, Stroke, find_strokes
from .prior import HIGHEST, LOWEST
from .training_data import TrainingData, make_sampler, unlabelled_pool

P = ParamSpec("P")

_BACKGROUND = "0"  # among the kinds of strokes; classes are "1", "2" and so on
_EM_STEPS = 100
_ROWS = 20_000  # pixels of each class, and unlabelled ones, that the scores are mixed by
_FEWEST = 0.01  # of the pixels drawn: so many are counted for each class beforehand, so that none dies out


Train: TypeAlias = Callable[Concatenate[Sequence[Sample], P], Work[Model]]


def each_class(train: Train[P]) -> Train[P]:
    """A training that knows one class of objects, made to take any number of them; of one it is the same training.

    Every class is trained against all that is painted otherwise (`classes.one_vs_rest`), with the same settings, seed
    and kept features. Where background is painted, so is the background, and the scores are then `mixed`; else a pixel
    belongs to the class with the highest score, if that is above 0.

    Parameters
    ----------
    train : callable
        See `methods.Method`. Its model has a `threshold` of one half.
    """

    @wraps(train)
    def train_each(samples: Sequence[Sample], *args: P.args, **kwargs: P.kwargs) -> Work[Model]:
        classes = common_classes(samples)
        if classes == ONE_CLASS:
            return (yield from train(samples, *args, **kwargs))
        options: dict[str, Any] = dict(kwargs)
        settings, *others = given = list(cast("tuple[Any, ...]", args))
        start, options["cache"] = options.get("start"), options.get("cache") or FeatureCache()
        parts = list(enumerate(classes))
        if len(classes) > 1 and any(sample.count(NEGATIVE) for sample in samples if sample.trust != "noisy"):
            parts.append((BACKGROUND, "background"))
        encoder = start if start is not None and start.is_encoder else None  # every class looks through it
        if start is not None and encoder is None:
            check_start(start, classes, len(parts))
        models: list[Model] = []
        for index, name in parts:
            options["start"] = encoder if encoder or start is None else part(start, index)
            work = train(one_vs_rest(samples, index), *given, **options)
            models.append((yield from shifted(_named(work, name), len(models), len(parts))))
            given = [settings.changed({"statistics": models[0].card.statistics}), *others]  # one way of seeing for all
        return (yield from _together(samples, classes, models, options["cache"]))

    return cast("Train[P]", train_each)


def one_class(train: Train[P]) -> Train[P]:
    """A training that knows one class of objects and cannot take several: it refuses them."""

    @wraps(train)
    def train_one(samples: Sequence[Sample], *args: P.args, **kwargs: P.kwargs) -> Work[Model]:
        classes = common_classes(samples)
        if len(classes) > 1:
            raise InputError(
                f"This method tells objects from background, but no classes, and there are {', '.join(classes)}. "
                "Choose another method, or leave one class."
            )
        return (yield from train(samples, *args, **kwargs))

    return cast("Train[P]", train_one)


def _named(work: Work[Result], name: str) -> Work[Result]:
    """Long work whose reports begin with the name of a class."""
    try:
        while True:
            progress: Progress = next(work)
            yield replace(progress, message=f"{name}: {progress.message}")
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        work.close()


def check_start(start: Model, classes: Sequence[str], n_parts: int) -> None:
    """Refuse a model that a training of these classes cannot go on from.

    Raises
    ------
    InputError
        If it is of other classes, or it has fewer parts: it was trained without background.
    """
    if start.classes != tuple(classes):
        raise InputError(
            f"The current model knows the classes {', '.join(start.classes)}, but the strokes are of "
            f"{', '.join(classes)}. Train anew."
        )
    if start.card.n_parts < n_parts:
        raise InputError("The current model was trained without strokes on background. Train anew.")


def part(model: Model, index: int) -> Model:
    """The model of one class, or the `BACKGROUND`, against the rest, as it was before the scores were mixed.

    Raises
    ------
    InputError
        If the classes of that model were not trained one by one.
    """
    if len(model.classes) == 1:
        return replace(model, card=model.card.model_copy(update={"classes": ()}))
    if not isinstance(model.network, OneVsRest):
        raise InputError(
            "The classes of the current model were trained together, so none can be taken out. Train anew."
        )
    of_class: dict[str, Any] = {"classes": ()}
    if index == BACKGROUND:
        prior = min(max(1 - model.card.class_prior, LOWEST), HIGHEST)
        of_class |= {"class_prior": prior, "class_prior_interval": (prior, prior)}
    else:
        one = model.card.classes[index]
        of_class |= {"class_prior": one.class_prior, "class_prior_interval": one.class_prior_interval}
    return Model(model.network.part(index), model.card.model_copy(update=of_class))


def _together(
    samples: Sequence[Sample], classes: Sequence[str], models: Sequence[Model], cache: FeatureCache
) -> Work[Model]:
    """One model of the models of all classes."""
    trusted = [replace(sample, labels=None) if sample.trust == "noisy" else sample for sample in samples]
    kinds = {str(k): code_of(k - 1) for k in range(1, len(classes) + 1)}
    strokes = find_strokes(trusted, kinds | {_BACKGROUND: NEGATIVE})
    cards = [_class_card(name, model.card) for name, model in zip(classes, models, strict=False)]
    network = models[0].network
    if len(classes) > 1:
        network = OneVsRest([model.network for model in models], len(classes)).to(models[0].device).eval()
        if len(models) > len(classes) and all(strokes.values()):
            priors = yield from _mix(network, models[0], samples, strokes, cache)
            cards = [_with_prior(card, float(prior)) for card, prior in zip(cards, priors, strict=True)]
    n_background = len(strokes[_BACKGROUND])
    return Model(network, _card_of_all(models[0].card, cards, network.state_dict(), n_background))


def _mix(
    network: OneVsRest,
    first: Model,
    samples: Sequence[Sample],
    strokes: Mapping[str, Sequence[Stroke]],
    cache: FeatureCache,
) -> Work[np.ndarray]:
    """Mix the scores of a network's parts; returns the class priors (K,)."""
    card, seed = first.card, int(first.card.settings["seed"])
    stats = []
    for sample in samples:
        stats.append((yield from first.for_image(sample.image)).card.intensity)
    data = TrainingData(samples, strokes, tuple(stats), unlabelled_pool(samples))
    sampler = yield from make_sampler(data, network, card.network, seed, cache)
    yield Progress(0, 0, "Weighing the classes")
    scores = _scores(network, sampler, seed)
    known = [scores[str(k)] for k in range(len(strokes))]
    weights, offsets, priors = mixed(known, scores["unlabelled"], sum(map(len, strokes.values())))
    network.weight.copy_(torch.from_numpy(weights))
    network.offset.copy_(torch.from_numpy(offsets))
    return priors


def _scores(network: OneVsRest, sampler: Sampler, seed: int) -> dict[str, np.ndarray]:
    """Scores (n, P) of the P parts at pixels of each kind of strokes, and at unlabelled ones."""
    batch = sampler.everything(np.random.default_rng(seed))
    with torch.inference_mode():
        scores = network.scores(batch.features.to(network.weight.device)).movedim(1, -1).double().cpu()
    found = {}
    for kind, where in batch.parts.items():
        rows = scores[where] if batch.weights is None else scores[where][batch.weights[where] > 0]
        rows = rows.reshape(-1, scores.shape[-1])
        found[kind] = rows[:: max(1, len(rows) // _ROWS)].numpy()
    return found


def mixed(
    known: Sequence[np.ndarray], unlabelled: np.ndarray, n_strokes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How scores of one class against the rest become scores of each class against the background.

    Parameters
    ----------
    known : sequence of ndarray, each (n, P)
        Scores of pixels that are known: of the background, of class 1, of class 2 ...
    unlabelled : ndarray, (m, P)
        Scores of pixels drawn uniformly from the images.
    n_strokes : int
        Of how many strokes the known pixels are.

    Returns
    -------
    weights (K, P), offsets (K,), priors (K,)
        z_k = sum over j of weights_kj s_j + offsets_k; the fractions of the images that the classes cover.

    Notes
    -----
    Multinomial logistic regression of the class on the scores, with the prior N(0, 1) on its weights. The pixels of a
    stroke say nearly the same, so all known pixels together weigh as much as there are strokes, and every class the
    same. How often each class really is comes from the unlabelled pixels, by expectation maximisation: pi <- mean of
    p(class | scores) under pi (Saerens, Latinne & Decaestecker 2002, Neural Computation 14:21). Strokes lie where a
    class looks most like itself, so the regression is too sure: its odds are weighed with the root of pi alone, which
    was best on real images with two classes and background (docs/benchmarks.md).
    """
    n_classes, k = len(known), known[0].shape[1]
    rows, target = np.concatenate(known), np.repeat(np.arange(n_classes), [len(part) for part in known])
    weight = np.concatenate([np.full(len(part), n_strokes / n_classes / len(part)) for part in known])
    picked = np.arange(n_classes) == target[:, None]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        slopes, offsets = flat[: n_classes * k].reshape(n_classes, k), flat[n_classes * k :]
        log_p = log_softmax(rows @ slopes.T + offsets, axis=1)
        slack = weight[:, None] * (np.exp(log_p) - picked)
        value = -float(weight @ log_p[picked]) + float((slopes**2).sum()) / 2
        return value, np.concatenate([(slack.T @ rows + slopes).ravel(), slack.sum(0)])

    found = minimize(loss, np.zeros(n_classes * (k + 1)), jac=True, method="L-BFGS-B").x
    slopes, offsets = found[: n_classes * k].reshape(n_classes, k), found[n_classes * k :]
    priors = found_shares(unlabelled @ slopes.T + offsets)
    offsets = offsets + np.log(priors) / 2
    return slopes[1:] - slopes[0], offsets[1:] - offsets[0], priors[1:]


def found_shares(evidence: np.ndarray) -> np.ndarray:
    """How often each class is, (K + 1,), from log likelihoods (n, K + 1) of pixels drawn uniformly; see `mixed`."""
    priors = np.full(evidence.shape[1], 1 / evidence.shape[1])
    for _ in range(_EM_STEPS):
        total = softmax(evidence + np.log(priors), axis=1).mean(0) + _FEWEST
        priors = total / total.sum()
    return priors


def _class_card(name: str, card: Card) -> ClassCard:
    return ClassCard(
        name=name,
        class_prior=card.class_prior,
        class_prior_interval=card.class_prior_interval,
        class_prior_source=card.class_prior_source,
        threshold=card.threshold,
        n_strokes=card.n_positive_strokes,
    )


def _with_prior(card: ClassCard, prior: float) -> ClassCard:
    low, high = card.class_prior_interval
    found = {"class_prior": prior, "class_prior_interval": (min(low, prior), max(high, prior))}
    return card.model_copy(update=found | {"class_prior_source": "expectation maximisation over all classes"})


def _card_of_all(
    first: Card, classes: Sequence[ClassCard], tensors: dict[str, torch.Tensor], n_background: int
) -> Card:
    ends = [sum(one.class_prior_interval[end] for one in classes) for end in (0, 1)]
    return first.model_copy(
        update={
            "classes": tuple(classes),
            "class_prior": min(sum(one.class_prior for one in classes), 1.0),
            "class_prior_interval": (min(ends[0], 1.0), min(ends[1], 1.0)),
            "class_prior_source": classes[0].class_prior_source if len(classes) == 1 else "all classes together",
            "n_positive_strokes": sum(one.n_strokes for one in classes),
            "n_negative_strokes": n_background,
            "tensors_sha256": tensors_hash(tensors),
        }
    )
