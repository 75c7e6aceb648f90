from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import AzureChatOpenAI, ChatOpenAI
from openai import OpenAI
from pydantic import Field, SecretStr

from tests.llm.ways import SCHEMA, Way, chat_openai, in_every_way, question
from tests.waiting import until
from toolret.errors import LLMError
from toolret.llm import (
    CachedModel,
    Completion,
    RecordingModel,
    ReplyCache,
    aask,
    as_chat_model,
    ask,
    json_object,
)
from toolret.llm.caching import question_key
from toolret.llm.langchain import LangChainModel
from toolret.testing import OpenAIServer, Reply, ScriptedChatModel

AGAIN = Completion("first", input_tokens=0, output_tokens=0, cached=True, calls=0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "replies.sqlite3"


@in_every_way
async def test_the_same_question_is_asked_once(way: Way, file: Path) -> None:
    with OpenAIServer(Reply("first"), Reply("second")) as server:
        async with way.model(server.base_url, cache=file) as model:
            assert not (await way.ask(model, timeout=5)).cached
            assert await way.ask(model, timeout=5) == AGAIN
        async with way.model(server.base_url, cache=file) as later:
            assert await way.ask(later, timeout=5) == AGAIN
        assert len(server.requests) == 1


async def test_a_question_that_differs_is_asked_again(file: Path) -> None:
    replies = [Reply(str(number)) for number in range(9)]
    with (
        OpenAIServer(*replies) as server,
        OpenAI(api_key="k", base_url=server.base_url) as client,
        OpenAI(api_key="k", base_url=server.base_url + "/other") as other,
    ):
        model = as_chat_model(client, "m", cache=file)
        system = [{"role": "system", "content": "hello"}]
        for number, (asked, messages, schema) in enumerate(
            [
                (model, question(), SCHEMA),
                (model, question("hello!"), SCHEMA),
                (model, system, SCHEMA),
                (model, question(), {}),
                (as_chat_model(client, "n", cache=file), question(), SCHEMA),
                (as_chat_model(other, "m", cache=file), question(), SCHEMA),
            ]
        ):
            reply = await asked.acomplete(messages, schema, timeout=5)
            assert (reply.text, reply.cached) == (str(number), False)


async def test_settings_of_a_langchain_model_tell_it_from_others(file: Path) -> None:
    with OpenAIServer(Reply("cold"), Reply("warm")) as server:
        texts = []
        for temperature in (0.0, 0.7, 0.0):
            async with chat_openai(server.base_url, temperature=temperature) as chat:
                model = as_chat_model(chat, cache=file)
                texts.append((await model.acomplete(question(), SCHEMA, timeout=5)).text)
    assert texts == ["cold", "warm", "cold"]


SERVERS = ["https://one.example", "https://two.example"]


def azure(url: str) -> AzureChatOpenAI:
    return AzureChatOpenAI(
        model="m",
        api_key=SecretStr("k"),
        azure_endpoint=url,
        azure_deployment="d",
        api_version="2024-10-21",
    )


def of_environment(url: str) -> ChatOpenAI:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_BASE_URL", url)
        return ChatOpenAI(model="m", api_key=SecretStr("k"))


class Told(BaseChatModel):
    """One that says nothing of its settings but by its fields."""

    model: str
    extra: Any = None

    @property
    def _llm_type(self) -> str:
        return "told"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.model))])


class Untold(Told):
    """One that keeps them where nobody sees them."""

    model: str = Field("", exclude=True)
    extra: Any = Field(None, exclude=True)


def openai(**settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="m", base_url=SERVERS[0], **{"api_key": SecretStr("k")} | settings)


def kept(model: Any, file: Path) -> bool:
    return isinstance(as_chat_model(model, cache=file), CachedModel)


@pytest.mark.parametrize(
    "models",
    [
        [azure(url) for url in SERVERS],
        [of_environment(url) for url in SERVERS],
        [openai(), openai(default_headers={"X-Route": "b"}), openai(default_query={"v": 1})],
        [openai(), openai(organization="o"), openai(use_responses_api=True), openai(top_p=0.1)],
        [Told(model="small"), Told(model="large"), Told(model="small", extra={"a": {1, 2}})],
    ],
    ids=["Azure", "environment", "headers", "settings", "fields"],
)
def test_langchain_models_that_may_answer_differently_are_told_apart(
    models: list[Any], file: Path
) -> None:
    identities = {LangChainModel(model).identity for model in models}
    assert len(identities - {None}) == len(models)
    assert all(kept(model, file) for model in models)


def test_a_key_is_no_part_of_what_a_langchain_model_is() -> None:
    one, two = (LangChainModel(openai(api_key=SecretStr(key))).identity for key in "ab")
    assert one == two
    assert "sk-secret" not in str(
        LangChainModel(openai(default_headers={"X-Key": "sk-secret"})).identity
    )


def test_langchain_models_that_nothing_tells_apart_are_not_kept(file: Path) -> None:
    assert not kept(Untold(model="small"), file)
    assert not kept(Told(model="m", extra=lambda: "anything"), file)
    assert not kept(GenericFakeChatModel(messages=iter(())), file)


def test_replies_of_a_function_are_kept_if_it_has_a_name(file: Path) -> None:
    heard: list[Any] = []

    def function(messages: Any) -> str:
        heard.append(messages)
        return "hi"

    for name, calls in ((None, 2), ("mine", 1)):
        heard.clear()
        for _ in range(2):
            as_chat_model(function, name, cache=file).complete(question(), {}, timeout=5)
        assert len(heard) == calls


def test_failures_are_not_kept(file: Path) -> None:
    model = CachedModel(ScriptedChatModel(RuntimeError("down"), "up"), file)
    with pytest.raises(LLMError, match="down"):
        model.complete(question(), {}, timeout=5)
    assert model.complete(question(), {}, timeout=5) == Completion("up")


def _number(reply: str) -> int:
    value: int = json_object(reply, "number")["number"]
    return value


def test_a_repaired_reply_is_kept_with_its_repair(file: Path) -> None:
    scripted = ScriptedChatModel("seven", '{"number": 7}')
    model = CachedModel(scripted, file)
    spent = [ask(model, question(), {}, _number, deadline=5).calls for _ in range(2)]
    assert (spent, len(scripted.asked)) == ([2, 0], 2)


@pytest.mark.parametrize("caller", ["sync", "async"])
@pytest.mark.parametrize("repair", ["VII", RuntimeError("no JSON, but down")], ids=["bad", "none"])
@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
def test_unusable_replies_are_not_cached(
    file: Path, caller: str, repair: str | Exception, recorded: bool
) -> None:
    scripted = ScriptedChatModel("seven", repair, '{"number": 7}')
    cached = CachedModel(scripted, file)
    file.parent.mkdir()
    model = RecordingModel(cached, file.with_name("run.jsonl")) if recorded else cached

    def asked() -> int:
        if caller == "sync":
            return ask(model, question(), {}, _number, deadline=5).value
        return asyncio.run(aask(model, question(), {}, _number, deadline=5)).value

    with pytest.raises(LLMError, match="no JSON"):
        asked()
    assert asked() == 7
    assert scripted.asked[-1] == question()


def test_the_least_recently_used_replies_are_evicted(file: Path) -> None:
    cache = ReplyCache(file, max_bytes=3_000)
    for key in "abc":
        cache.put(key, key * 700)
    assert cache.get("a") == "a" * 700  # used just now
    cache.put("d", "d" * 700)
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]
    cache.put("e", "e" * 2_500)
    assert [key for key in "abcde" if cache.get(key)] == ["e"]
    cache.put("f", "f" * 3_000)  # larger than all may be together
    assert [key for key in "ef" if cache.get(key)] == ["e"]


def test_the_count_of_bytes_stays_right(file: Path) -> None:
    cache = ReplyCache(file, max_bytes=10_000)
    for turn in range(200):
        cache.put(f"{turn % 37}", "x" * (turn * 13 % 900))
        if turn % 5 == 0:
            cache.remove(f"{turn % 11}")
    with sqlite3.connect(file) as connection:
        counted, most = connection.execute(
            "SELECT (SELECT sum(bytes) FROM replies), bytes FROM total"
        ).fetchone()
    connection.close()
    assert counted == most <= 10_000


def test_the_file_is_plain_text_for_its_owner(file: Path) -> None:
    CachedModel(ScriptedChatModel("退款 \ud800"), file).complete(question(), {}, timeout=5)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT reply, typeof(reply) FROM replies").fetchall() == [
        ("退款 ?", "text")
    ]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_the_key_is_of_the_messages_and_the_schema() -> None:
    key = question_key(question(), SCHEMA)
    assert key == question_key(tuple(question()), dict(reversed(SCHEMA.items())))
    assert len({key, question_key(question("\ud800"), SCHEMA), question_key(question(), {})}) == 3


def a_folder(file: Path) -> None:
    file.mkdir(parents=True)


def no_database(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"my thesis " * 1_000)


def a_later_version(file: Path) -> None:
    ReplyCache(file).put("a", "b")
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def other_tables(file: Path) -> None:
    file.parent.mkdir()
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE mine (a)")
    connection.close()


def under_a_file(file: Path) -> None:
    file.parent.write_text("no folder")


@pytest.mark.parametrize(
    "broken", [a_folder, no_database, a_later_version, other_tables, under_a_file]
)
@pytest.mark.parametrize("way", [Way("", "sync"), Way("", "async")], ids=["sync", "async"])
async def test_a_broken_cache_file_is_bypassed(
    broken: Callable[[Path], None], way: Way, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken(file)
    before = file.read_bytes() if file.is_file() else None
    model = CachedModel(ScriptedChatModel("one", "two", "three"), file)
    texts = [(await way.ask(model, timeout=5)).text for _ in range(3)]
    assert texts == ["one", "two", "three"]
    [record] = caplog.records
    assert (record.levelno, str(file) in record.message) == (logging.WARNING, True)
    assert file.is_dir() or not file.exists() or file.read_bytes() == before


def test_a_locked_file_is_not_waited_for_long(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = ReplyCache(file)
    cache.put("a", "kept")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    started = time.perf_counter()
    for number in range(100):
        cache.put(str(number), "lost")
    assert time.perf_counter() - started < 20  # and not half a second for each
    assert "locked" in caplog.text
    other.execute("ROLLBACK")
    other.close()


def test_a_reply_is_returned_even_if_its_use_cannot_be_recorded(file: Path) -> None:
    ReplyCache(file).put("a", "kept")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert ReplyCache(file).get("a") == "kept"
    other.execute("ROLLBACK")
    other.close()


def test_it_stays_where_it_is_wherever_the_process_goes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = file.parent / "here", file.parent / "elsewhere"
    for folder in (here, elsewhere):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    cache = ReplyCache(file.name)
    monkeypatch.chdir(elsewhere)
    cache.put("a", "kept")
    assert ReplyCache(here / file.name).get("a") == "kept"


FULL_DISK = """
import logging, resource, signal, sys
from toolret.llm import ReplyCache
logging.basicConfig()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cache = ReplyCache(sys.argv[1])
cache.put("a", "before")
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
for number in range(50):
    cache.put(str(number), "x" * 5_000)
print(cache.get("a"))
"""


def test_a_full_disk_costs_replies_and_nothing_else(file: Path) -> None:
    """A file that may grow no further fails as one on a full disk does."""
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(file)], capture_output=True, text=True, check=True
    )
    assert "the replies of models are not kept" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ReplyCache(file).get("a") == "before"


WRITER = """
import sys
from toolret.llm import ReplyCache
cache = ReplyCache(sys.argv[1])
for number in range(200):
    cache.put(f"{sys.argv[2]}:{number}", f"reply {number} of {sys.argv[2]}")
"""


def test_processes_and_threads_share_it(file: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), str(number)], stderr=subprocess.PIPE
        )
        for number in range(3)
    ]
    cache = ReplyCache(file)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: cache.put(f"t:{n}", f"reply {n} of t"), range(100)))
    for writer in writers:
        _, printed = writer.communicate(timeout=60)
        assert (writer.returncode, printed) == (0, b"")
    for owner, count in (("0", 200), ("1", 200), ("2", 200), ("t", 100)):
        for number in range(count):
            assert cache.get(f"{owner}:{number}") == f"reply {number} of {owner}"


def test_a_killed_writer_leaves_a_sound_file(file: Path) -> None:
    endless = WRITER.replace("range(200)", "__import__('itertools').count()")
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", endless, str(file), "0"])
        assert until(lambda: file.exists() and ReplyCache(file).get("0:50") is not None)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        cache = ReplyCache(file)
        assert cache.get("0:7") == "reply 7 of 0"
        cache.put("after", "fine")
        assert cache.get("after") == "fine"
        cache.remove("0:50")


async def test_the_loop_goes_on_while_the_file_is_waited_for(file: Path) -> None:
    ReplyCache(file).put("a", "kept")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    model = CachedModel(ScriptedChatModel("hi"), file)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await model.acomplete(question(), {}, timeout=5)
    ticking.cancel()
    other.execute("ROLLBACK")
    other.close()
    assert ticks > 3  # in the half second in which the file is waited for
