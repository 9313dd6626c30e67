"""What the panel of rounds says: the columns of its table, and the verdict in words."""

from __future__ import annotations

from napari_pu_segment.core.training.rounds import HeldStroke, Judgement, Round, may_stop

from ..numbers import PERCENT
from .rounds import Track

_CAVEAT = "Strokes keep to the middle of objects and to what you are sure of, so this is better than the truth."
COLUMNS = (  # title, widest text in it, tooltip
    ("#", "9 ●", "Round; the one in use is marked."),
    ("Strokes", "10+10", "Strokes on objects + strokes on background"),
    ("Time\ns", "9.9", "Seconds from the start of the training to its result"),
    (
        "Held\nout %",
        "100/100",
        "Strokes are held out in turn and judged by models that did not see them: the part of object strokes that is "
        f"found (recall) / the part of background strokes that is left out (specificity). {_CAVEAT}",
    ),
    (
        "Prec.\n%",
        "100",
        "Precision without ground truth: recall × class prior / area of the mask. It is no better than the class "
        "prior. While the mask covers just the class prior, it equals the recall; it tells something once you move "
        f"the threshold. {_CAVEAT}",
    ),
    (
        "Steady\n%",
        "100",
        "How alike the masks stay when a third of the strokes is left out (100: the same, 0: as alike as chance; "
        "Cohen's kappa). Low: the result hangs on single strokes, so paint more.",
    ),
    (
        "Diff.\n%",
        "100",
        "Difference to the mask of the result before, relative to the objects: pixels that differ / pixels of either "
        "mask. Below 2 % in two rounds with new strokes, you can stop.",
    ),
)


def cells(one: Round, comma: str = ".") -> list[str]:
    """A round as texts, one for each column; – where something is not known."""
    judged = one.judgement or Judgement((), (), 0.0, 0.0)
    seconds = f"{one.seconds:.1f}".replace(".", comma) if one.seconds < 10 else f"{one.seconds:.0f}"
    held = f"{_whole(judged.recall)}/{_whole(judged.specificity)}"
    return [
        str(one.number),
        f"{one.n_positive}+{one.n_negative}",
        seconds,
        "–" if judged.agreement is None else held,
        _whole(judged.precision),
        _whole(judged.steadiness),
        "–" if one.change is None else _percent(one.change, comma),
    ]


def explain(one: Round, column: int) -> str:
    """The tooltip of a cell."""
    if column >= 3 and one.judgement is None:
        return "Not judged: the next training came first, or it is still to come."
    return COLUMNS[column][2]


def sentence(track: Track, *, judging: bool, comma: str = ".") -> str:
    """What to make of the latest round."""
    rounds = track.rounds
    if not rounds:
        return "Every training is judged here by strokes that are held out."
    last = rounds[-1]
    if last.judgement is None:
        return f"Judging round {last.number} …" if judging else f"Round {last.number} is judged when strokes rest."
    if last.judgement.agreement is None:
        return "To judge a round, it takes two strokes on objects."
    if last.verdict is None:
        return "The next round is compared with this one."
    return _verdict(track, last, comma)


def doubtful(rounds: list[Round]) -> HeldStroke | None:
    """The stroke to look at where the latest round agrees less than the one before."""
    last = rounds[-1] if rounds else None
    if last is None or last.judgement is None or last.verdict is None or not last.verdict.agreement < 0:
        return None
    return next(iter(last.judgement.loners), None)


def _verdict(track: Track, last: Round, comma: str) -> str:
    old = track.rounds[track.old_round]
    assert last.verdict is not None
    assert last.judgement is not None
    if not last.verdict.known or old.judgement is None:
        return "There are too few strokes to compare with the round before."
    if last.verdict.keep and may_stop(track.rounds):
        changes = " and ".join(f"{_percent(one.change or 0.0, comma)}{PERCENT}" for one in track.rounds[-2:])
        return f"You can stop: new strokes changed the mask by {changes} in the last two rounds."
    if not last.verdict.keep:
        result = f"Round {last.number} looks worse" + ("" if track.taken else f", so round {old.number} is kept")
    elif last.verdict.agreement < 0 and _whole(last.judgement.agreement) != _whole(old.judgement.agreement):
        result = f"Round {last.number} agrees less, but not clearly so"
    else:
        result = f"Round {last.number} agrees at least as well"
    lone = "" if doubtful(track.rounds) is None else " One stroke has no support from the others."
    return f"{result}: {_compared(old.judgement, last.judgement)}.{lone}"


def _compared(old: Judgement, new: Judgement) -> str:
    return (
        f"held-out strokes {_whole(new.agreement)}{PERCENT} (before {_whole(old.agreement)}{PERCENT}), "
        f"steady {_whole(new.steadiness)}{PERCENT} ({_whole(old.steadiness)}{PERCENT})"
    )


def _whole(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.0f}"


def _percent(fraction: float, comma: str) -> str:
    return f"{100 * fraction:.1f}".replace(".", comma) if fraction < 0.0995 else f"{100 * fraction:.0f}"
