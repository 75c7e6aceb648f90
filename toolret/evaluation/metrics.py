"""Metrics of runs: standard ones by ``ir_measures``, COMP here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["completeness", "evaluate"]

DEPTHS = (1, 3, 5, 10)
"""The k of every metric at k."""


def completeness(gold: Sequence[str], ranked: Sequence[str], k: int) -> float:
    """COMP@k: 1 if all gold tools are among the first k, else 0 (Qu et al., 2024, COLT)."""
    return float(set(gold) <= set(ranked[:k]))


def evaluate(
    gold: Mapping[str, Sequence[str]], runs: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Mean metrics, 0 to 1, over the requests that have a right tool.

    Args:
        gold: Ids of the right tools by request id; requests without any are passed over.
        runs: Ids of the ranked tools by request id, best first; a request that is missing was
            answered with no tool.

    Returns:
        ``COMP@k``, ``R@k`` (recall), ``nDCG@k``, ``Hit@k`` for each of ``DEPTHS``, and ``MRR``
        (at 10). Empty if no request has a right tool.
    """
    import ir_measures
    from ir_measures import RR, Qrel, R, ScoredDoc, Success, nDCG

    answerable = {id_: tools for id_, tools in gold.items() if tools}
    if not answerable:
        return {}
    named = {"MRR": RR @ 10}
    for k in DEPTHS:
        named |= {f"R@{k}": R @ k, f"nDCG@{k}": nDCG @ k, f"Hit@{k}": Success @ k}
    qrels = [Qrel(id_, tool, 1) for id_, tools in answerable.items() for tool in tools]
    scored = [
        ScoredDoc(id_, tool, -rank)
        for id_ in answerable
        for rank, tool in enumerate(runs.get(id_, ()))
    ]
    # ir_measures averages over the requests of the qrels; one without results counts as 0.
    means = ir_measures.calc_aggregate(named.values(), qrels, scored)
    result = {name: float(means[measure]) for name, measure in named.items()}
    for k in DEPTHS:
        complete = [completeness(tools, runs.get(id_, ()), k) for id_, tools in answerable.items()]
        result[f"COMP@{k}"] = sum(complete) / len(complete)
    return result
