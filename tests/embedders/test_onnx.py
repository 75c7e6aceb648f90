"""The default model by onnxruntime: the same vectors as by sentence-transformers, without torch."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

from tests.conftest import ROOT, SHARED
from tests.doc_pages import run_page
from toolret.catalogs import load_tools
from toolret.embedders import (
    RoleEmbedder,
    SentenceTransformerEmbedder,
    onnx_cache,
    onnx_export,
    resolve_embedder,
)
from toolret.embedders.model_files import DEFAULT_MODEL, find_model
from toolret.embedders.onnx_models import GRAPH, TOKENIZER, OnnxModel
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.text.rendering import tool_text

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache with the exported default model."""
    folder = tmp_path_factory.mktemp("assets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_ASSETS_CACHE", str(folder))
        assert onnx_cache.open_onnx(find_model(DEFAULT_MODEL))
    return folder


@pytest.fixture
def kept(assets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(assets))
    (folder,) = (assets / "toolret" / "onnx").iterdir()
    return folder


def varied_texts() -> list[str]:
    tools = [tool_text(tool) for tool in load_tools(ROOT / "tool_catalogs")][::9]
    return [
        *tools,
        "",
        " \n",
        "x",
        "Zażółć gęślą jaźń; 東京の天気は? 🙂🙂 naïve ﬁancé",
        "\u0000",
        "listInvoices(customer_id=3)",
        "send money " * 2_000,
        "A" * 3_000,
    ]


def test_vectors_are_those_of_sentence_transformers(kept: Path) -> None:
    texts = varied_texts()
    by_onnx = SentenceTransformerEmbedder(batch_size=16)
    by_torch = SentenceTransformerEmbedder(backend="torch")
    wanted = by_torch.encode(texts)
    found = by_onnx.encode(texts)
    assert np.einsum("ij,ij->i", found, wanted).min() >= 0.9999
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    singly = np.concatenate([by_onnx.encode([text]) for text in texts[-12:]])
    np.testing.assert_allclose(singly, wanted[-12:], atol=1e-4)
    prompted = by_onnx.encode(texts[:3], prompt="query: ")
    np.testing.assert_allclose(prompted, by_torch.encode(texts[:3], prompt="query: "), atol=1e-4)
    assert by_onnx.id == by_torch.id  # so an index is of both


def test_many_texts_are_tokenized_part_by_part(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder, texts = SentenceTransformerEmbedder(), varied_texts()
    wanted = embedder.encode(texts)
    monkeypatch.setattr("toolret.embedders.onnx_models._TOKENIZED", 7)
    np.testing.assert_allclose(embedder.encode(texts), wanted, atol=1e-6)


@pytest.mark.skipif(os.cpu_count() == 1, reason="with one core there is no other thread")
def test_no_thread_waits_busily_for_the_next_text(kept: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from toolret.embedders.onnx_models import OnnxModel

model = OnnxModel(Path(sys.argv[1]))
model.encode(["cancel my order and give me the money back"], batch_size=1)
worked = time.process_time()
time.sleep(0.5)
print(time.process_time() - worked)
"""
    command = [sys.executable, "-c", program, str(kept)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 0.01


@pytest.mark.shared
def test_vectors_of_real_requests_are_those_of_sentence_transformers(kept: Path) -> None:
    lines = (SHARED / "metatool" / "dev.jsonl").read_text("utf-8").splitlines()[:200]
    texts = [json.loads(line)["text"] for line in lines]
    found = SentenceTransformerEmbedder().encode(texts)
    wanted = SentenceTransformerEmbedder(backend="torch").encode(texts)
    assert np.einsum("ij,ij->i", found, wanted).min() >= 0.9999


def test_an_exported_model_is_loaded_beside_what_a_retriever_reads(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = SentenceTransformerEmbedder()
    index = ToolIndex(tmp_path / "index", embedder=embedder)
    loads: list[Path] = []

    def noting(folder: Path) -> OnnxModel | None:
        loads.append(folder)
        return onnx_cache.open_onnx(folder)

    monkeypatch.setattr("toolret.embedders.sentence_transformer.open_onnx", noting)
    ToolRetriever(index).search("cancel my order")
    ToolRetriever(index).search("cancel my order")
    for thread in threading.enumerate():
        if thread.name == "toolret-prepare":
            thread.join()
    assert loads == [find_model(DEFAULT_MODEL)]
    shutil.rmtree(kept)  # nothing is exported for one who may never ask
    other = SentenceTransformerEmbedder()
    other.prepare()
    for thread in threading.enumerate():
        if thread.name == "toolret-prepare":
            thread.join()
    assert len(loads) == 1
    assert onnx_cache.open_onnx(find_model(DEFAULT_MODEL))


@pytest.mark.parametrize("name", [GRAPH, TOKENIZER])
def test_a_damaged_file_is_exported_again(
    kept: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray((kept / name).read_bytes())
    data[len(data) // 2] ^= 1
    (kept / name).write_bytes(bytes(data))
    with pytest.raises(ValueError, match="damaged"):
        OnnxModel(kept)
    assert onnx_cache.open_onnx(find_model(DEFAULT_MODEL))
    assert "exported again" in caplog.text
    OnnxModel(kept)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_processes_that_export_at_once_do_not_disturb_each_other(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(_: Path, into: Path) -> None:
        for path in kept.iterdir():
            (into / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(onnx_cache, "export", copy)
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path))
    folder = find_model(DEFAULT_MODEL)
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(onnx_cache.open_onnx, [folder] * 4))
    assert len(list((tmp_path / "toolret" / "onnx").iterdir())) == 1


def test_a_model_that_cannot_be_exported_is_run_by_sentence_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path))
    monkeypatch.setattr(onnx_export, "_LEAST_COSINE", 1.5)  # nothing is ever good enough
    embedder = SentenceTransformerEmbedder()
    assert embedder.encode(["a text"]).shape == (1, 384)
    embedder.encode(["another text"])
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "run by sentence-transformers" in record.message
    assert list((tmp_path / "toolret" / "onnx").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "file"))
    assert onnx_cache.open_onnx(find_model(DEFAULT_MODEL)) is None
    assert "cannot be written" in caplog.text
    assert "set HF_ASSETS_CACHE to a folder that can" in caplog.text


def test_a_model_is_open_once_in_a_process_however_often_it_is_named(tmp_path: Path) -> None:
    """Otherwise an index for each tenant would take 100 MB each."""
    named = [ToolIndex(tmp_path / place).embedder for place in ("one", "two")]
    assert named[0].embedder is named[1].embedder
    folder = str(find_model(DEFAULT_MODEL))
    torch = [resolve_embedder(folder).embedder for _ in range(2)]
    assert torch[0] is not torch[1]
    assert resolve_embedder(f"onnx:{folder}").embedder not in (*torch, named[0].embedder)


def test_any_model_is_run_by_onnxruntime_on_request() -> None:
    embedder = resolve_embedder(f"onnx:{find_model(DEFAULT_MODEL)}").embedder
    assert isinstance(embedder, SentenceTransformerEmbedder)
    assert embedder.backend == "onnx"
    assert SentenceTransformerEmbedder(device="cpu").backend == "torch"


def test_a_search_by_the_command_line_does_not_import_torch(tmp_path: Path, kept: Path) -> None:
    index = ToolIndex(tmp_path / "index", embedder=RoleEmbedder(SentenceTransformerEmbedder()))
    index.sync_tools(load_tools(next((ROOT / "tool_catalogs").glob("*.yaml"))))
    code = (
        "import sys; from toolret.cli import main; code = main(sys.argv[1:]); "
        "print(code, *{'torch', 'transformers', 'sentence_transformers', 'sklearn', 'pydantic', "
        "'rich'} & sys.modules.keys())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "search", "--index", str(index.store.folder), "cancel order"],
        capture_output=True,
        text=True,
        check=False,
        env={"HF_ASSETS_CACHE": str(kept.parent.parent.parent), "PATH": ""},
        cwd=ROOT,
    )
    assert ran.stdout.splitlines()[-1].split() == ["0"], ran.stderr


def test_the_page_on_speed(kept: Path) -> None:
    run_page("docs/speed.md", blocks=1)


def test_onnxruntime_reports_nothing(tmp_path: Path) -> None:
    program = """
import numpy as np
from toolret.ranking.scanning import quantize

quantize(np.eye(4, dtype=np.float32)).products(np.eye(4, dtype=np.float32))
"""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    homes = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", program], env=environment | homes, check=True)
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name] == []
