"""Ranking metrics per request: standard ones from ``ir_measures``, and COMP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["DEPTHS", "completeness", "mean", "metric_values"]

DEPTHS = (1, 3, 5, 10)
"""The numbers of first tools that each metric at k is computed for."""


def completeness(gold: Sequence[str], ranked: Sequence[str], k: int) -> float:
    """Return COMP@k: 1 if all gold tools are among the first k, else 0 (Qu et al., 2024, COLT)."""
    return float(set(gold) <= set(ranked[:k]))


def metric_values(
    gold: Mapping[str, Sequence[str]], runs: Mapping[str, Sequence[str]], *, most: int = DEPTHS[-1]
) -> dict[str, dict[str, float]]:
    """Compute metrics, 0 to 1, for each request that has a right tool.

    Args:
        gold: Ids of the right tools by request id; requests without any are skipped.
        runs: Ids of the ranked tools by request id, best first; a missing request was answered with
            no tool.
        most: The number of tools ranked per request; metrics that look at more are left out.

    Returns:
        By metric and request id: ``COMP@k``, ``R@k`` (recall), ``nDCG@k``, ``Hit@k`` for each of
        ``DEPTHS`` up to ``most``, and ``MRR`` (at 10). Empty if no request has a right tool.
    """
    import ir_measures
    from ir_measures import RR, Qrel, R, ScoredDoc, Success, nDCG

    answerable = {id_: tools for id_, tools in gold.items() if tools}
    if not answerable:
        return {}
    depths = [k for k in DEPTHS if k <= most]
    measures = {"MRR": RR @ 10} if most >= DEPTHS[-1] else {}
    for k in depths:
        measures |= {f"R@{k}": R @ k, f"nDCG@{k}": nDCG @ k, f"Hit@{k}": Success @ k}
    qrels = [Qrel(id_, tool, 1) for id_, tools in answerable.items() for tool in tools]
    scored = [
        ScoredDoc(id_, tool, -rank)
        for id_ in answerable
        for rank, tool in enumerate(runs.get(id_, ()))
    ]
    # ``iter_calc`` leaves out requests without any ranked tool, which score 0.
    values = {name: dict.fromkeys(answerable, 0.0) for name in measures}
    names = {measure: name for name, measure in measures.items()}
    for metric in ir_measures.iter_calc(measures.values(), qrels, scored):
        values[names[metric.measure]][metric.query_id] = float(metric.value)
    for k in depths:
        values[f"COMP@{k}"] = {
            id_: completeness(tools, runs.get(id_, ()), k) for id_, tools in answerable.items()
        }
    return values


def mean(values: Mapping[str, float]) -> float:
    """Return the mean over the requests."""
    return sum(values.values()) / len(values)
