"""Fit the adapter of the default embedder on public data: ``toolret/embedders/tool_adapter.npy``.

    python -m scripts.fit_adapter ../shared/data

The adapter is learnt from demonstrations alone, so that development requests measure it fairly:
each demonstration shall be nearest to its own tools among all tools of its set (listwise softmax of
cosines). Every set counts alike, and the matrix is held near the identity, which leaves vectors
where the model put them. Then the script prints what each set's requests gain by a matrix that saw
nothing of the set or of those related to it; ``--held-out DIR`` keeps these matrices, as
``DIR/SET.npy``.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from toolret.catalogs import load_tools
from toolret.embedders import SentenceTransformerEmbedder, tool_adapter
from toolret.ranking.learning import evenly_spaced
from toolret.rows import LabelledRequest, load_demos, load_requests
from toolret.text.rendering import VIEW_WEIGHTS, tool_views
from toolret.types import Demo

MOST_DEMOS = 3_000
"""The most demonstrations of a set that are learnt from, evenly spaced ones."""

STEPS = 60
"""The number of steps of the optimizer, chosen as ``NEARNESS`` was."""

BATCH = 128
"""The number of demonstrations of each set in a step."""

LEARNING_RATE = 1e-3
"""The learning rate of the optimizer."""

SCALE = 20.0
"""The factor by which cosines are multiplied before the softmax."""

NEARNESS = 1e-2
"""The weight of the squared distance from the identity in the loss. It and the steps were chosen by
sets that were left out: more steps, or a lower weight, help the sets learnt from and harm the
others."""

RELATED = ("apibank", "apibench", "toollens", "toolret", "traject")
"""Sets that share tools or sources: a matrix that saw one of them has seen them all."""

ADAPTER = Path(tool_adapter.__file__).with_name(tool_adapter.ADAPTER_FILE)
"""The file of the shipped adapter."""


@dataclass(frozen=True)
class LabelledSet:
    """Texts with known tools, and the tools of their set.

    Attributes:
        views: Unit vectors of the tools' views, shape ``(views, tools, dimensions)``.
        shares: The weight of each view of a tool, 0 where the view is empty: shape
            ``(views, tools, 1)``.
        texts: Unit vectors of the texts, shape ``(texts, dimensions)``.
        right: The right tools of each text, which share a weight of 1: shape ``(texts, tools)``.
    """

    views: torch.Tensor
    shares: torch.Tensor
    texts: torch.Tensor
    right: torch.Tensor


def main() -> None:
    """Fit and write the adapter, then test adapters on sets that they have not seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--held-out", type=Path, metavar="DIR", help="keep the adapters of the test"
    )
    options = parser.parse_args()
    data: Path = options.data
    embedder = SentenceTransformerEmbedder()
    demonstrated = demonstrated_sets(data, embedder)
    np.save(ADAPTER, fit(demonstrated.values()).astype(np.float16))
    files = sorted(data.glob("*/*dev.jsonl"))
    adapters = fit_without({file.parent.name for file in files}, demonstrated)
    if options.held_out is not None:
        options.held_out.mkdir(parents=True, exist_ok=True)
        for name, held_out in adapters.items():
            np.save(options.held_out / f"{name}.npy", held_out)
    for file in files:
        requests = [request for request in load_requests(file) if request.tools]
        test = labelled_set(file.parent, requests, embedder)
        adapter = torch.tensor(adapters[file.parent.name])
        before, after = ndcg(test, torch.eye(len(adapter))), ndcg(test, adapter)
        print(f"{file.parent.name}/{file.stem}: nDCG@10 {before:.1f} to {after:.1f}")


def demonstrated_sets(data: Path, embedder: SentenceTransformerEmbedder) -> dict[str, LabelledSet]:
    """Return the sets that have demonstrations, with these as texts, by the sets' folders."""
    return {
        file.parent.name: labelled_set(
            file.parent,
            evenly_spaced([demo for demo in load_demos(file) if demo.tools], MOST_DEMOS),
            embedder,
        )
        for file in sorted(data.glob("*/demos.jsonl"))
    }


def fit_without(
    folders: Collection[str], demonstrated: Mapping[str, LabelledSet]
) -> dict[str, NDArray[np.float32]]:
    """Fit an adapter for each set's folder that saw neither the set nor those related to it."""
    known = {
        folder: frozenset(demonstrated.keys() - (RELATED if folder in RELATED else {folder}))
        for folder in folders
    }
    fitted = {
        names: fit([demonstrated[name] for name in sorted(names)]) for names in set(known.values())
    }
    return {folder: fitted[names] for folder, names in known.items()}


def labelled_set(
    folder: Path,
    requests: Sequence[Demo | LabelledRequest],
    embedder: SentenceTransformerEmbedder,
) -> LabelledSet:
    """Embed requests to a set, and the set's tools; requests without a known tool are left out."""
    tools = list(load_tools(folder / "tools.jsonl"))
    views = [tool_views(tool).split("\n") for tool in tools]
    positions = {tool.id: position for position, tool in enumerate(tools)}
    right = torch.zeros(len(requests), len(tools))
    for row, request in enumerate(requests):
        known = [positions[tool] for tool in set(request.tools) if tool in positions]
        right[row, known] = 1 / max(len(known), 1)
    kept = right.any(dim=1)
    has_text = torch.tensor([[bool(line) for line in lines] for lines in views]).T
    return LabelledSet(
        torch.stack([torch.tensor(embedder.encode(lines)) for lines in zip(*views, strict=True)]),
        (has_text * torch.tensor(VIEW_WEIGHTS)[:, None]).unsqueeze(2),
        torch.tensor(embedder.encode([request.text for request in requests]))[kept],
        right[kept],
    )


def fit(sets: Collection[LabelledSet]) -> NDArray[np.float32]:
    """Return the fitted adapter, shape ``(dimensions, dimensions)``; it multiplies row vectors."""
    random = np.random.default_rng(0)
    identity = torch.eye(next(iter(sets)).texts.shape[1])
    change = torch.zeros_like(identity, requires_grad=True)
    optimizer = torch.optim.Adam([change], lr=LEARNING_RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (NEARNESS * change.square().sum()).backward()  # type: ignore[no-untyped-call]
        for labelled in sets:
            rows = random.permutation(len(labelled.texts))[:BATCH]
            scores = SCALE * cosines(labelled, identity + change, rows)
            right = labelled.right[rows]
            wrong = scores.masked_fill(right > 0, -torch.inf).logsumexp(dim=1, keepdim=True)
            losses = right * (torch.logaddexp(scores, wrong) - scores)
            (losses.sum() / len(rows) / len(sets)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    adapter: NDArray[np.float32] = (identity + change).detach().numpy()
    return adapter


def cosines(
    labelled: LabelledSet, adapter: torch.Tensor, rows: NDArray[np.int64] | slice
) -> torch.Tensor:
    """Return the cosines of some texts with all adapted tools: shape ``(texts, tools)``."""
    views = normalize(labelled.views @ adapter, dim=2)
    tools = normalize((labelled.shares * views).sum(dim=0), dim=1)
    return labelled.texts[rows] @ tools.T


def ndcg(labelled: LabelledSet, adapter: torch.Tensor) -> float:
    """Return the nDCG@10 of ranking by the cosine alone, in percent."""
    order = cosines(labelled, adapter, slice(None)).argsort(dim=1, descending=True)[:, :10]
    gains = (labelled.right > 0).float()
    discounts = 1 / torch.log2(torch.arange(2.0, 12.0))
    reached = (gains.gather(1, order) * discounts[: order.shape[1]]).sum(dim=1)
    ideal = gains.sort(dim=1, descending=True).values[:, :10]
    best = (ideal * discounts[: ideal.shape[1]]).sum(dim=1)
    return float(100 * (reached / best).mean())


if __name__ == "__main__":
    main()
