from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from openai import InternalServerError, OpenAI

from toolret.errors import InputError, LLMError
from toolret.testing import HashedWordsEmbedder, OpenAIServer, Reply, ScriptedChatModel


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
    with pytest.raises(LLMError, match="mine"):
        ScriptedChatModel(LLMError("mine")).complete(ask, {}, timeout=1)


def test_a_model_without_replies_is_refused() -> None:
    with pytest.raises(InputError, match="at least one reply"):
        ScriptedChatModel()


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_that_fails_tells_the_client_how(stream: bool) -> None:
    def reply(request: dict[str, Any]) -> Reply:
        return Reply(request["missing"])

    with (
        OpenAIServer(reply) as server,
        OpenAI(api_key="k", base_url=server.base_url, max_retries=0) as client,
        pytest.raises(InternalServerError, match="KeyError: 'missing'"),
    ):
        client.chat.completions.create(model="m", messages=[], stream=stream)


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


def test_a_reply_may_depend_on_the_request_and_call_tools() -> None:
    def reply(request: dict[str, Any]) -> Reply:
        return Reply(tool_calls=[(tool["function"]["name"], {"n": 1}) for tool in request["tools"]])

    tools: Any = [{"type": "function", "function": {"name": name}} for name in "ab"]
    with OpenAIServer(reply) as server, OpenAI(api_key="k", base_url=server.base_url) as client:
        completion = client.chat.completions.create(model="m", messages=[], tools=tools)
        with client.chat.completions.stream(model="m", messages=[], tools=tools) as stream:
            streamed = stream.get_final_completion()
    for choice in (completion.choices[0], streamed.choices[0]):
        calls: Any = choice.message.tool_calls
        assert [(c.function.name, c.function.arguments) for c in calls] == [
            ("a", '{"n": 1}'),
            ("b", '{"n": 1}'),
        ]
        assert choice.finish_reason == "tool_calls"
        assert calls[0].id != calls[1].id


def test_a_streamed_reply_comes_in_pieces() -> None:
    with (
        OpenAIServer(Reply("Here it is.")) as server,
        OpenAI(api_key="k", base_url=server.base_url) as client,
    ):
        chunks = list(
            client.chat.completions.create(
                model="m", messages=[], stream=True, stream_options={"include_usage": True}
            )
        )
    pieces = [c.choices[0].delta.content for c in chunks if c.choices]
    assert [piece for piece in pieces if piece] == ["Here ", "it ", "is."]
    assert chunks[-1].usage is not None


def test_responses_come_whole_and_as_events() -> None:
    reply = Reply("Two at once.", tool_calls=[("a", {"n": 1}), ("tool_search", {"query": "b"})])
    tools: Any = [{"type": "tool_search", "execution": "client"}]
    with OpenAIServer(reply) as server, OpenAI(api_key="k", base_url=server.base_url) as client:
        whole = client.responses.create(model="m", input="hello", tools=tools)
        with client.responses.stream(model="m", input="hello", tools=tools) as stream:
            kinds = [event.type for event in stream]
            streamed = stream.get_final_response()
    for each in (whole, streamed):
        assert [item.type for item in each.output] == [
            "message",
            "function_call",
            "tool_search_call",
        ]
        assert each.output_text == "Two at once."
        call: Any = each.output[1]
        assert (call.name, call.arguments) == ("a", '{"n": 1}')
    assert kinds.count("response.output_text.delta") == 3
    assert kinds.count("response.function_call_arguments.delta") == 2
