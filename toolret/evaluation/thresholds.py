"""What scores are worth as probabilities: thresholds, "no tool", calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Row", "calibration_error", "separation", "table"]

Answers = Mapping[str, Sequence[tuple[str, float]]]
"""Ranked tools by request id: ids and scores, best first."""

_THRESHOLDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
_BINS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """What comes of giving only tools whose score reaches a threshold.

    Attributes:
        threshold: The score.
        tools: Mean number of tools that a request is given.
        recall: Mean share of its right tools, over requests that have any.
        complete: Share of the same requests that are given all of theirs.
        answered: Share of the same requests that are given any tool.
        silent: Share of the requests without a right tool that are given none; None if there
            are no such requests.
    """

    threshold: float
    tools: float
    recall: float
    complete: float
    answered: float
    silent: float | None


def table(gold: Mapping[str, Sequence[str]], answers: Answers) -> list[Row]:
    """One row for each threshold: recall against the number of tools, and silence."""
    rows = []
    for threshold in _THRESHOLDS:
        given = {
            id_: {tool for tool, score in answers.get(id_, ()) if score >= threshold}
            for id_ in gold
        }
        needing = [(set(tools), given[id_]) for id_, tools in gold.items() if tools]
        idle = [given[id_] for id_, tools in gold.items() if not tools]
        rows.append(
            Row(
                threshold,
                tools=_mean([len(some) for some in given.values()]),
                recall=_mean([len(right & some) / len(right) for right, some in needing]),
                complete=_mean([right <= some for right, some in needing]),
                answered=_mean([bool(some) for _, some in needing]),
                silent=_mean([not some for some in idle]) if idle else None,
            )
        )
    return rows


def separation(gold: Mapping[str, Sequence[str]], needs: Mapping[str, float]) -> float | None:
    """AUROC of the need for a tool, for whether there is a right one; None if all or none have."""
    from sklearn.metrics import roc_auc_score

    needing = [bool(tools) for tools in gold.values()]
    if all(needing) or not any(needing):
        return None
    return float(roc_auc_score(needing, [needs[id_] for id_ in gold]))


def calibration_error(gold: Mapping[str, Sequence[str]], answers: Answers) -> float:
    """Expected calibration error of the scores, in ten bins of equal width (Guo et al., 2017).

    Each ranked tool of each request is one prediction.
    """
    pairs = [(score, tool in gold[id_]) for id_ in gold for tool, score in answers.get(id_, ())]
    if not pairs:
        return 0.0
    scores, right = np.array(pairs, dtype=np.float64).T
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=scores - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(scores))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
