"""Reading another embedder's cosines."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import demo, tool
from toolret.embedders import resolve_embedder
from toolret.index import ToolIndex
from toolret.ranking import learning
from toolret.ranking.cosines import (
    DEFAULT_SCALE,
    CosineScale,
    measure_cosines,
    rescale_need,
    rescale_weights,
)
from toolret.ranking.evidence import FEATURES
from toolret.ranking.learning import prior_for
from toolret.ranking.need import COSINES, INPUTS, Need
from toolret.ranking.weighing import contributions
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
from toolret.types import Tool


class RandomEmbedder:
    """A vector for each text that says nothing of it."""

    id = "random"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        seed = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
        vector: list[float] = np.random.default_rng(seed).normal(size=64).tolist()
        return vector


def test_random_vectors_are_not_trusted() -> None:
    scale = measure_cosines(resolve_embedder(RandomEmbedder()))
    assert scale.trust < 0.2
    assert abs(scale.near - scale.typical) < 0.1


@pytest.mark.model
def test_the_default_embedder_is_trusted_and_the_prior_is_its_own() -> None:
    scale = measure_cosines(resolve_embedder())
    assert scale.trust == 1
    assert scale.typical == pytest.approx(DEFAULT_SCALE.typical, abs=0.002)
    assert scale.near == pytest.approx(DEFAULT_SCALE.near, abs=0.002)


def test_another_scale_gives_the_same_contributions() -> None:
    fitted = DEFAULT_SCALE
    here = CosineScale(0.7, 0.7 + (fitted.near - fitted.typical) / 2)
    weights = prior_for(fitted, np.zeros(1, np.float32)).text
    features = np.random.default_rng(0).random((5, len(FEATURES))).astype(np.float32)
    stretched = features.copy()
    for column, name in enumerate(FEATURES):
        if name == "dense" or name == "neighbours":
            stretched[:, column] = here.equivalent(features[:, column])
        elif name.startswith("dense") and name.endswith("gap"):
            stretched[:, column] *= 0.5
    columns = [
        i for i in range(len(FEATURES)) if not np.array_equal(features[:, i], stretched[:, i])
    ]
    assert len(columns) >= 5
    there = contributions(stretched, rescale_weights(weights, here))
    assert np.allclose(there[:, columns], contributions(features, weights)[:, columns], atol=1e-4)
    need = Need((1.0, 2.0, 3.0, 0.0, -2.0, 4.0, 5.0, 6.0), -1.0, (), ())
    inputs = np.array([0.2, 0.3, 0.4, 0.5, 0.1, 0.6, 0.7, -1.0], dtype=np.float32)
    other = np.where(np.arange(INPUTS) < COSINES, here.equivalent(inputs), inputs)
    assert rescale_need(need, here).log_odds(other) == pytest.approx(
        need.log_odds(inputs), abs=1e-4
    )


def test_a_general_request_is_less_likely_to_need_a_tool() -> None:
    prior = prior_for(DEFAULT_SCALE, np.zeros(1, np.float32))
    for need in (prior.text_need, prior.demonstrated_need):
        inputs = np.full(INPUTS, 0.3, dtype=np.float32)
        general = inputs.copy()
        general[COSINES - 1] += 0.1
        assert need.log_odds(general) < need.log_odds(inputs) - 0.5


def test_a_copy_is_as_near_as_can_be_to_any_embedder() -> None:
    assert DEFAULT_SCALE.alike(0.95) == pytest.approx(0.95)
    for scale in (CosineScale(0.7, 0.9), CosineScale(0.0, 0.1), CosineScale(-0.1, 0.6)):
        assert scale.alike(1) == 1
        assert scale.alike(DEFAULT_SCALE.typical) == pytest.approx(scale.typical)
        assert scale.alike(0.85) < scale.alike(0.95) < 1


def test_copies_of_a_demonstration_are_shown_once_whatever_the_embedder(
    tmp_path: Path, tools: list[Tool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "measure_cosines", lambda _: CosineScale(0.3, 0.7))
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync(tools, [demo(f"d{i}", "please stop my purchase", "cancel_order") for i in range(5)])
    shown = ToolRetriever(index, min_recall=1).select("please stop the purchase").demos
    assert len(shown) == 1


def test_an_embedder_without_meaning_leaves_the_ranking_to_the_words(tmp_path: Path) -> None:
    verbs = ("cancel", "refund", "track", "print", "archive", "export", "merge", "rename")
    things = ("order", "invoice", "parcel", "ticket", "meeting", "report")
    tools = [tool(f"{verb}_{thing}", f"{verb} one {thing}") for verb in verbs for thing in things]
    index = ToolIndex(tmp_path / "index", embedder=RandomEmbedder())
    for demos in ([], [demo(f"d{t.id}", f"please {t.description}", t.id) for t in tools[::3]]):
        index.sync(tools, demos)
        retriever = ToolRetriever(index)
        right = [
            retriever.select(f"could you {t.description} for me").tools[0].tool.id == t.id
            for t in tools
        ]
        assert np.mean(right) > 0.9
