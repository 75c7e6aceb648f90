"""Fit the adapter of the default embedder on public data: ``toolret/embedders/tool_adapter.npy``.

    python -m scripts.fit_adapter ../shared/data

It learns from demonstrations alone, so that development requests measure it fairly: each
demonstration is to be nearest to its tools among all of its set's (listwise softmax of cosines).
Every set counts alike, and the matrix is held near the identity, which leaves vectors where the
model put them. Then it says what each set's requests gain by a matrix that saw nothing of the set
or of those related to it; ``--held-out DIR`` keeps these matrices, as ``DIR/SET.npy``.
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
"""Demonstrations of a set that are learnt from: evenly spaced ones."""

STEPS = 60
BATCH = 128
"""Demonstrations of each set in a step."""

LEARNING_RATE = 1e-3
SCALE = 20.0
"""What cosines are multiplied by before the softmax."""

NEARNESS = 1e-2
"""What the squared distance from the identity costs. It and the steps were chosen by sets that were
left out: more steps, or less of this, serve those learnt from and harm the others."""

RELATED = ("apibank", "apibench", "toollens", "toolret", "traject")
"""Sets that share tools or where they were taken from: what saw one has seen them all."""

ADAPTER = Path(tool_adapter.__file__).with_name(tool_adapter.ADAPTER_FILE)


@dataclass(frozen=True)
class Labelled:
    """Texts with known tools, and the tools of their set.

    Attributes:
        views: Unit vectors of the tools' views, shape ``(views, tools, dimensions)``.
        shares: What each view of a tool counts, 0 where it says nothing: ``(views, tools, 1)``.
        texts: Unit vectors, shape ``(texts, dimensions)``.
        right: Which tools are right for each, a share each: shape ``(texts, tools)``.
    """

    views: torch.Tensor
    shares: torch.Tensor
    texts: torch.Tensor
    right: torch.Tensor


def main() -> None:
    """Fit, write, and test on sets that were left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--held-out", type=Path, metavar="DIR", help="keep the adapters of the test"
    )
    options = parser.parse_args()
    data: Path = options.data
    embedder = SentenceTransformerEmbedder()
    demonstrated = demonstrations_of(data, embedder)
    np.save(ADAPTER, fit(demonstrated.values()).astype(np.float16))
    files = sorted(data.glob("*/*dev.jsonl"))
    adapters = fit_without({file.parent.name for file in files}, demonstrated)
    if options.held_out is not None:
        options.held_out.mkdir(parents=True, exist_ok=True)
        for name, kept in adapters.items():
            np.save(options.held_out / f"{name}.npy", kept)
    for file in files:
        requests = [request for request in load_requests(file) if request.tools]
        test = labelled(file.parent, requests, embedder)
        adapter = torch.tensor(adapters[file.parent.name])
        before, after = ndcg(test, torch.eye(len(adapter))), ndcg(test, adapter)
        print(f"{file.parent.name}/{file.stem}: nDCG@10 {before:.1f} to {after:.1f}")


def demonstrations_of(data: Path, embedder: SentenceTransformerEmbedder) -> dict[str, Labelled]:
    """What can be learnt from, by the folder of its set."""
    return {
        file.parent.name: labelled(
            file.parent,
            evenly_spaced([demo for demo in load_demos(file) if demo.tools], MOST_DEMOS),
            embedder,
        )
        for file in sorted(data.glob("*/demos.jsonl"))
    }


def fit_without(
    folders: Collection[str], demonstrated: Mapping[str, Labelled]
) -> dict[str, NDArray[np.float32]]:
    """For each set's folder, the adapter as it were if it and those related were unknown."""
    known = {
        folder: frozenset(demonstrated.keys() - (RELATED if folder in RELATED else {folder}))
        for folder in folders
    }
    fitted = {
        names: fit([demonstrated[name] for name in sorted(names)]) for names in set(known.values())
    }
    return {folder: fitted[names] for folder, names in known.items()}


def labelled(
    folder: Path,
    asked: Sequence[Demo | LabelledRequest],
    embedder: SentenceTransformerEmbedder,
) -> Labelled:
    """Vectors of what is asked of a set, and of its tools."""
    tools = list(load_tools(folder / "tools.jsonl"))
    views = [tool_views(tool).split("\n") for tool in tools]
    positions = {tool.id: position for position, tool in enumerate(tools)}
    right = torch.zeros(len(asked), len(tools))
    for row, each in enumerate(asked):
        known = [positions[tool] for tool in set(each.tools) if tool in positions]
        right[row, known] = 1 / max(len(known), 1)
    kept = right.any(dim=1)
    said = torch.tensor([[bool(line) for line in lines] for lines in views]).T
    return Labelled(
        torch.stack([torch.tensor(embedder.encode(lines)) for lines in zip(*views, strict=True)]),
        (said * torch.tensor(VIEW_WEIGHTS)[:, None]).unsqueeze(2),
        torch.tensor(embedder.encode([each.text for each in asked]))[kept],
        right[kept],
    )


def fit(sets: Collection[Labelled]) -> NDArray[np.float32]:
    """The adapter, shape ``(dimensions, dimensions)``: a row vector times it is adapted."""
    random = np.random.default_rng(0)
    identity = torch.eye(next(iter(sets)).texts.shape[1])
    change = torch.zeros_like(identity, requires_grad=True)
    optimizer = torch.optim.Adam([change], lr=LEARNING_RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (NEARNESS * change.square().sum()).backward()  # type: ignore[no-untyped-call]
        for one in sets:
            rows = random.permutation(len(one.texts))[:BATCH]
            scores = SCALE * cosines(one, identity + change, rows)
            right = one.right[rows]
            wrong = scores.masked_fill(right > 0, -torch.inf).logsumexp(dim=1, keepdim=True)
            losses = right * (torch.logaddexp(scores, wrong) - scores)
            (losses.sum() / len(rows) / len(sets)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    adapter: NDArray[np.float32] = (identity + change).detach().numpy()
    return adapter


def cosines(
    of_set: Labelled, adapter: torch.Tensor, rows: NDArray[np.int64] | slice
) -> torch.Tensor:
    """Of some texts with all adapted tools: shape ``(texts, tools)``."""
    views = normalize(of_set.views @ adapter, dim=2)
    tools = normalize((of_set.shares * views).sum(dim=0), dim=1)
    return of_set.texts[rows] @ tools.T


def ndcg(of_set: Labelled, adapter: torch.Tensor) -> float:
    """nDCG@10 of the cosine alone, in per cent."""
    order = cosines(of_set, adapter, slice(None)).argsort(dim=1, descending=True)[:, :10]
    gains = (of_set.right > 0).float()
    discounts = 1 / torch.log2(torch.arange(2.0, 12.0))
    found = (gains.gather(1, order) * discounts[: order.shape[1]]).sum(dim=1)
    ideal = gains.sort(dim=1, descending=True).values[:, :10]
    best = (ideal * discounts[: ideal.shape[1]]).sum(dim=1)
    return float(100 * (found / best).mean())


if __name__ == "__main__":
    main()
