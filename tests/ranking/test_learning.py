from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import demo, tool
from toolret.embedders import Instructions, RoleEmbedder
from toolret.errors import StoreError
from toolret.index import ToolIndex
from toolret.ranking import learning
from toolret.ranking.comparer import Comparer
from toolret.ranking.cosines import CosineScale, measure_cosines
from toolret.ranking.fitting import Fit
from toolret.ranking.learning import (
    distant_pairs,
    fit_index,
    prior_for,
    weights_from_json,
    weights_to_json,
)
from toolret.retrieval.retriever import ToolRetriever
from toolret.stores.folder import FolderStore
from toolret.testing import HashedWordsEmbedder
from toolret.types import Demo, Tool


def catalog() -> tuple[list[Tool], list[Demo]]:
    things = ["order", "invoice", "parcel", "ticket", "meeting", "employee", "build", "alert"]
    tools = [
        tool(f"{verb}_{thing}", f"{verb} one {thing}")
        for thing in things
        for verb in ("cancel", "list", "create")
    ]
    demos = [
        demo(f"{t.id}-{i}", f"{text} {t.name.replace('_', ' ')}", t.id)
        for t in tools
        for i, text in enumerate(("please", "now I want to"))
    ]
    return tools, demos


@pytest.fixture
def index(tmp_path: Path) -> ToolIndex:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync(*catalog())
    return index


def fit_path(index: ToolIndex) -> Path:
    return Path(index.store.place) / "fit.json"


GENERAL = np.zeros(1, dtype=np.float32)
"""A mean vector of general requests that says nothing."""


def refit(index: ToolIndex) -> Fit:
    return fit_index(index, Comparer(index.snapshot, index.embedder))


def test_the_prior_survives_json() -> None:
    prior = prior_for(CosineScale(0.0, 0.3), GENERAL).demonstrated
    again = weights_from_json(json.loads(json.dumps(weights_to_json(prior))))
    for name in ("mean", "scale", "weight"):
        assert getattr(again, name) == pytest.approx(getattr(prior, name), abs=1e-6)
    assert (again.slope, again.share, again.intercept) == (
        prior.slope,
        prior.share,
        prior.intercept,
    )


def test_without_demonstrations_the_prior_counts(index: ToolIndex) -> None:
    index.sync_demos([])
    fit = fit_index(index, Comparer(index.snapshot, index.embedder))
    assert fit.own is None
    prior = prior_for(measure_cosines(index.embedder), GENERAL)
    assert weights_to_json(fit.prior.text) == weights_to_json(prior.text)


def test_a_fit_is_deterministic_kept_and_read_again(index: ToolIndex) -> None:
    fit = fit_index(index, Comparer(index.snapshot, index.embedder))
    assert fit.own is not None
    assert weights_to_json(fit.own) != weights_to_json(
        prior_for(CosineScale(0.0, 0.3), GENERAL).demonstrated
    )
    written = fit_path(index).read_text()
    fit_path(index).unlink()
    refit(index)
    assert fit_path(index).read_text() == written
    stamp = fit_path(index).stat().st_mtime_ns
    again = fit_index(index, Comparer(index.snapshot, index.embedder))
    assert fit_path(index).stat().st_mtime_ns == stamp
    assert again.own is not None
    for name in ("mean", "scale", "weight"):
        assert np.array_equal(getattr(again.own, name), getattr(fit.own, name))
    assert (again.familiarity, again.related) == (fit.familiarity, fit.related)


def test_an_index_is_fitted_again_when_a_tenth_of_the_demonstrations_changed(
    index: ToolIndex,
) -> None:
    refit(index)
    first = fit_path(index).read_text()
    index.add_demos([demo("one", "cancel my order", "cancel_order")])
    refit(index)
    assert fit_path(index).read_text() == first
    index.add_demos([demo(f"new-{i}", f"cancel order {i}", "cancel_order") for i in range(8)])
    refit(index)
    assert fit_path(index).read_text() != first


def test_an_index_is_fitted_again_when_the_prior_changed(
    index: ToolIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    refit(index)
    first = json.loads(index.store.load_fit() or b"")
    prior = learning._prior_text() + b"\n"
    monkeypatch.setattr(learning, "_prior_text", lambda: prior)
    refit(index)
    again = json.loads(index.store.load_fit() or b"")
    assert again["prior"] != first["prior"]
    assert again["own"] == first["own"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"features": 3}', b"\xff\xfe"])
def test_an_unreadable_fit_is_made_again(
    index: ToolIndex, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    refit(index)
    good = fit_path(index).read_text()
    fit_path(index).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        refit(index)
    assert "made again" in caplog.text
    assert fit_path(index).read_text() == good


@pytest.mark.parametrize("change", [{"cosines": None}, {"heard of later": 1}])
def test_a_fit_of_another_version_is_made_again_and_called_so(
    index: ToolIndex, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    refit(index)
    good = fit_path(index).read_text()
    index.store.keep_fit(json.dumps(json.loads(index.store.load_fit() or b"") | change).encode())
    refit(index)
    assert caplog.messages == [
        f"{index.store.place}: the fit cannot be read and is made again: another version of "
        "toolret wrote it"
    ]
    assert fit_path(index).read_text() == good


def test_a_fit_that_cannot_be_kept_is_used(
    index: ToolIndex, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with caplog.at_level(logging.WARNING):
        fit = fit_index(index, Comparer(index.snapshot, index.embedder))
    assert fit.own is not None
    assert "cannot be kept" in caplog.text


def test_demonstrations_that_cover_a_catalog_do_not_speak_against_demonstrated_tools(
    tmp_path: Path,
) -> None:
    """With one a tool, each right tool looks undemonstrated when its own is left out."""
    tools, demos = catalog()
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync([*tools, tool("archive_order", "archive one order")], demos[::2])
    hits = ToolRetriever(index).search("cancel the order, please", k=3)
    assert hits[0].tool.id == "cancel_order"


def test_pairs_are_of_distant_positions() -> None:
    assert distant_pairs([3, 5, 8, 9], 2) == [(3, 8), (9, 5)]
    assert distant_pairs([3, 5, 8, 9], 9) == [(3, 8), (5, 9), (8, 3), (9, 5)]
    assert distant_pairs([3], 9) == []


def test_a_fit_with_other_instructions_or_another_adapter_does_not_hold(
    tmp_path: Path,
) -> None:
    words = HashedWordsEmbedder(64)
    said = "Represent this text of an interface for the retrieval of documents like it: "
    others = [
        RoleEmbedder(words, instructions=Instructions(tool_request=said, demo_request=said)),
        RoleEmbedder(words, instructions=Instructions(said, said, said, said)),
        RoleEmbedder(words, tool_adapter=-np.eye(64, dtype=np.float32)),
    ]
    for number, other in enumerate(others):
        index = ToolIndex(tmp_path / f"{number}", embedder=words)
        index.sync(*catalog())
        refit(index)
        again = ToolIndex(tmp_path / f"{number}", embedder=other, reembed=True)
        assert refit(again).prior.cosines == measure_cosines(other)
        assert json.loads(again.store.load_fit() or b"")["spaces"][0] == other.space("tool")


def test_a_server_that_is_down_after_a_sync_keeps_no_reader_from_being_made(
    index: ToolIndex, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    retriever = ToolRetriever(index)
    index.add_tools([tool("water_plant", "Water one plant.")])

    def down(*_: object) -> None:
        raise StoreError("the server cannot be reached")

    for method in ("exists", "load_fit", "keep_fit"):
        monkeypatch.setattr(FolderStore, method, down)
    fit_path(index).unlink()
    assert retriever.search("water one plant")[0].tool.id == "water_plant"
    assert "the fit cannot be kept: the server cannot be reached" in caplog.text
