from __future__ import annotations

import numpy as np
import pytest
from openai import OpenAI

from toolret.errors import QueryGenerationError
from toolret.testing import HashedWordsEmbedder, OpenAIServer, ScriptedChatModel


def test_texts_that_share_words_are_near() -> None:
    embedder = HashedWordsEmbedder()
    query = np.array(embedder.embed_query("my invoices, please"))
    near, far = np.array(embedder.embed_documents(["listInvoices", "trackParcel"]))
    assert query @ near > 0.6
    assert abs(query @ far) < 0.2
    assert np.linalg.norm(query) == pytest.approx(1)


def test_vectors_are_the_same_everywhere_and_never_zero() -> None:
    embedder = HashedWordsEmbedder(4)
    assert embedder.embed_query("") == [1, 0, 0, 0]
    assert embedder.embed_query("refund") == HashedWordsEmbedder(4).embed_query("Refunds")
    assert embedder.id == "hashed-words:4"


async def test_scripted_replies_come_in_order_and_the_last_stays() -> None:
    model = ScriptedChatModel("a", lambda messages: messages[0]["content"])
    ask = [{"role": "user", "content": "echo"}]
    replies = [model.complete(ask, {}, timeout=1) for _ in range(2)]
    replies.append(await model.acomplete(ask, {}, timeout=1))
    assert [reply.text for reply in replies] == ["a", "echo", "echo"]
    assert len(model.asked) == 3
    with pytest.raises(QueryGenerationError, match="mine"):
        ScriptedChatModel(QueryGenerationError("mine")).complete(ask, {}, timeout=1)


def test_the_server_embeds_as_the_embedder_does() -> None:
    with OpenAIServer() as server, OpenAI(api_key="k", base_url=server.base_url) as client:
        for encoding in ("float", "base64"):
            reply = client.embeddings.create(model="m", input="refund", encoding_format=encoding)
            assert np.allclose(
                _floats(reply.data[0].embedding), HashedWordsEmbedder().embed_query("refund")
            )


def _floats(embedding: object) -> list[float]:
    import base64

    if isinstance(embedding, str):
        return [float(value) for value in np.frombuffer(base64.b64decode(embedding), "<f4")]
    assert isinstance(embedding, list)
    return embedding
