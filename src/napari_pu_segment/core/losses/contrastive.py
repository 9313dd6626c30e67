"""Objectives that need no labels: two views of a place shall look alike to the encoder."""

from __future__ import annotations

import torch
from torch.nn import functional


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Normalised temperature-scaled cross entropy (Chen et al. 2020, arXiv:2002.05709, equation 1).

    Of the 2 N vectors z, each at length 1, every one shall find its partner among the others::

        -1 / (2 N) sum_i log(exp(z_i . z_partner(i) / t) / sum_{k != i} exp(z_i . z_k / t))

    Parameters
    ----------
    first, second : Tensor, (N, D)
        Row i of both comes from the same place.
    temperature : float
        t; the smaller, the more the hardest of the others count.

    Returns
    -------
    Tensor, ()
    """
    n = len(first)
    z = functional.normalize(torch.cat([first, second]), dim=1)
    alike = z @ z.T / temperature
    alike = alike.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), -torch.inf)
    partner = (torch.arange(2 * n, device=z.device) + n) % (2 * n)
    return functional.cross_entropy(alike, partner)


def self_distillation(
    student: torch.Tensor, teacher: torch.Tensor, centre: torch.Tensor, sharpness: tuple[float, float] = (0.1, 0.04)
) -> torch.Tensor:
    """Cross entropy of what the student and the teacher say of two views (Caron et al. 2021, arXiv:2104.14294).

    ``-mean_i sum_k softmax((teacher - centre) / t_t)_ik log softmax(student / t_s)_ik``: the centre keeps one answer
    from being given to everything, the teacher's low temperature t_t keeps all answers from becoming the same.

    Parameters
    ----------
    student, teacher : Tensor, (N, K)
        Of one view and of the other; no gradient goes through the teacher.
    centre : Tensor, (K,)
        Running mean of the teacher's.
    sharpness : tuple of float
        t_s and t_t.

    Returns
    -------
    Tensor, ()
    """
    wanted = torch.softmax((teacher.detach() - centre) / sharpness[1], 1)
    return -(wanted * functional.log_softmax(student / sharpness[0], 1)).sum(1).mean()


def swapped_prediction(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross entropy of what each view says with the code of the other (Caron et al. 2020, arXiv:2006.09882, eq. 1, 2).

    ``-1 / 2 mean_i sum_k (q2_ik log softmax(first / t)_ik + q1_ik log softmax(second / t)_ik)``, where the codes q1 and
    q2 are `equal_shares` of the views' own scores: no gradient goes through them.

    Parameters
    ----------
    first, second : Tensor, (N, K)
        Cosines of a place's vector with K prototypes; row i of both is of the same place.
    temperature : float
        t.

    Returns
    -------
    Tensor, ()
    """
    said = [functional.log_softmax(scores / temperature, 1) for scores in (first, second)]
    codes = [equal_shares(scores.detach()) for scores in (second, first)]
    parts = [-(code * one).sum(1).mean() for code, one in zip(codes, said, strict=True)]
    return (parts[0] + parts[1]) / 2


@torch.no_grad()
def equal_shares(scores: torch.Tensor, epsilon: float = 0.05, rounds: int = 3) -> torch.Tensor:
    """Codes of places, of which every prototype gets the same share (Sinkhorn, Knopp 1967; as in Caron et al. 2020).

    ``diag(u) exp(scores / epsilon) diag(v)``, where u and v are found by turns: all columns are brought to the sum
    N / K, then all rows to 1. Without it, one prototype for all places would be agreed upon.

    Parameters
    ----------
    scores : Tensor, (N, K)
        Cosines, -1..1.
    epsilon : float
        How soft the codes are.
    rounds : int
        How often; the columns' sums are near to N / K then, the rows' exact.

    Returns
    -------
    Tensor, (N, K), 0..1
    """
    shares = torch.exp((scores - scores.max()) / epsilon)
    for _ in range(rounds):
        shares = shares / shares.sum(0) * (len(scores) / scores.shape[1])
        shares = shares / shares.sum(1, keepdim=True)
    return shares
