"""Measure how well scores work as probabilities: by thresholds, for "no tool", by calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["NeedRow", "ScoreRow", "calibration_error", "need_rows", "score_rows", "separation"]

Answers = Mapping[str, Sequence[tuple[str, float]]]
"""Ranked tools by request id: ids and scores, best first."""

_SCORES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""The thresholds on tools' scores that a report shows."""

_NEEDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""The thresholds on requests' need for a tool that a report shows."""

_BINS = 10
"""The number of equal bins of scores for the calibration error."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Effect of returning only tools whose score reaches a threshold.

    Attributes:
        threshold: The least score.
        tools: Mean number of tools returned per request; None if there are no requests.
        recall: Mean share of the right tools returned, over requests that have any; None if there
            are none.
        complete: Share of those requests for which all right tools are returned; likewise.
    """

    threshold: float
    tools: float | None
    recall: float | None
    complete: float | None


@dataclass(frozen=True, slots=True)
class NeedRow:
    """Effect of returning tools only for requests whose need for one reaches a threshold.

    Attributes:
        threshold: The least need.
        answered: Share of the requests with a right tool that get tools; None if there are no such
            requests.
        silent: Share of the requests without a right tool that get none; likewise.
    """

    threshold: float
    answered: float | None
    silent: float | None


def score_rows(gold: Mapping[str, Sequence[str]], answers: Answers) -> list[ScoreRow]:
    """Return one row per threshold on scores: recall against the number of tools."""
    rows = []
    for threshold in _SCORES:
        returned = {
            id_: {tool for tool, score in answers.get(id_, ()) if score >= threshold}
            for id_ in gold
        }
        needing = [(set(tools), returned[id_]) for id_, tools in gold.items() if tools]
        rows.append(
            ScoreRow(
                threshold,
                tools=_mean([len(tools) for tools in returned.values()]),
                recall=_mean([len(right & shown) / len(right) for right, shown in needing]),
                complete=_mean([right <= shown for right, shown in needing]),
            )
        )
    return rows


def need_rows(gold: Mapping[str, Sequence[str]], needs: Mapping[str, float]) -> list[NeedRow]:
    """Return one row per threshold on need: requests that get tools, and those rightly without."""
    needing = [needs[id_] for id_, tools in gold.items() if tools]
    idle = [needs[id_] for id_, tools in gold.items() if not tools]
    return [
        NeedRow(
            threshold,
            answered=_mean([need >= threshold for need in needing]),
            silent=_mean([need < threshold for need in idle]),
        )
        for threshold in _NEEDS
    ]


def separation(gold: Mapping[str, Sequence[str]], needs: Mapping[str, float]) -> float | None:
    """Return the AUROC of need as a predictor of a right tool; None if all or none have one."""
    from sklearn.metrics import roc_auc_score

    needing = [bool(tools) for tools in gold.values()]
    if all(needing) or not any(needing):
        return None
    return float(roc_auc_score(needing, [needs[id_] for id_ in gold]))


def calibration_error(gold: Mapping[str, Sequence[str]], answers: Answers) -> float | None:
    """Return the scores' expected calibration error, in ten equal bins (Guo et al., 2017).

    Each ranked tool of each request is one prediction. None if there are no predictions.
    """
    pairs = [(score, tool in gold[id_]) for id_ in gold for tool, score in answers.get(id_, ())]
    if not pairs:
        return None
    scores, right = np.array(pairs, dtype=np.float64).T
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=scores - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(scores))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
