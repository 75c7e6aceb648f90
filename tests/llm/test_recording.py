from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.llm.ways import SCHEMA, Way, in_every_way, question
from tests.waiting import until
from toolret.errors import InputError, LLMError, ReplayError
from toolret.llm import (
    CachedModel,
    Completion,
    RecordingModel,
    ReplayModel,
    aask,
    ask,
    json_object,
)
from toolret.llm.caching import question_key
from toolret.testing import OpenAIServer, Reply, ScriptedChatModel


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@in_every_way
async def test_a_run_is_repeated_without_its_server(way: Way, file: Path) -> None:
    asked = ["one", "two", "one", "fails"]
    with OpenAIServer(Reply("1"), Reply("2"), Reply(status=401)) as server:
        async with way.model(server.base_url) as model:
            recording = RecordingModel(model, file)
            first = [await outcome(way, recording, text) for text in asked]
        assert len(server.requests) == 3  # of a question that was answered the reply is known
    replay = ReplayModel(file)
    assert replay.name == model.name == "m"
    assert [await outcome(way, replay, text) for text in asked] == first
    assert [reply.text for reply in first[:3] if isinstance(reply, Completion)] == ["1", "2", "1"]
    assert "401" in str(first[3])


async def outcome(way: Way, model: Any, text: str) -> Completion | tuple[str, int]:
    try:
        return await way.ask(model, text, timeout=5)
    except LLMError as error:
        return str(error), error.calls


def test_a_recording_holds_hashes_and_replies(file: Path) -> None:
    model = RecordingModel(ScriptedChatModel("退款", ValueError("no")), file)
    model.complete(question("a secret"), SCHEMA, timeout=5)
    with pytest.raises(LLMError):
        model.complete(question(), SCHEMA, timeout=5)
    assert lines(file) == [
        {"toolret_recording": 1, "model": "scripted"},
        {
            "question": question_key(question("a secret"), SCHEMA),
            "text": "退款",
            "input_tokens": None,
            "output_tokens": None,
            "cached": False,
            "calls": 1,
        },
        {
            "question": question_key(question(), SCHEMA),
            "error": "ValueError: no",
            "input_tokens": 0,
            "output_tokens": 0,
            "calls": 0,
        },
    ]
    assert "a secret" not in file.read_text("utf-8")


def test_halves_of_surrogate_pairs_leave_a_recording_readable(file: Path) -> None:
    scripted = ScriptedChatModel("caf\ud83d \N{TENT}", ValueError("caf\ud83d"))
    model = RecordingModel(scripted, file)
    first = model.complete(question(), SCHEMA, timeout=5)
    assert first.text == "caf? \N{TENT}"
    with pytest.raises(LLMError):
        model.complete(question("x"), {}, timeout=5)
    replay = ReplayModel(file)
    assert replay.complete(question(), SCHEMA, timeout=5) == first
    with pytest.raises(LLMError, match=r"ValueError: caf\?$"):
        replay.complete(question("x"), {}, timeout=5)


@pytest.mark.parametrize("caller", ["sync", "async"])
async def test_a_changed_prompt_fails_loudly(file: Path, caller: str) -> None:
    await Way("", caller).ask(RecordingModel(ScriptedChatModel("1"), file), "old", timeout=5)
    with pytest.raises(ReplayError) as raised:
        await Way("", caller).ask(ReplayModel(file), "new", timeout=5)
    assert str(raised.value).startswith(f"{file}: holds no reply to the question ")
    assert "ask by the strategy that was recorded" in str(raised.value)
    assert "prompts, or the data that they are made of, have changed" in str(raised.value)


def test_an_incomplete_recording_is_not_an_llm_failure(file: Path) -> None:
    """What goes on after a failure of an LLM does not go on after this."""
    assert issubclass(ReplayError, InputError)
    assert not issubclass(ReplayError, LLMError)
    RecordingModel(ScriptedChatModel("1"), file).complete(question("old"), {}, timeout=5)
    replay = ReplayModel(file)
    with pytest.raises(ReplayError):
        ask(replay, question(), {}, str, deadline=5)
    with pytest.raises(ReplayError):
        asyncio.run(aask(replay, question(), {}, str, deadline=5))
    with pytest.raises(ReplayError):
        CachedModel(replay, file.with_name("c.sqlite3")).complete(question(), {}, timeout=5)


def test_a_repair_is_repeated(file: Path) -> None:
    def parse(reply: str) -> int:
        number: int = json_object(reply, "number")["number"]
        return number

    recording = RecordingModel(ScriptedChatModel("seven", '{"number": 7}'), file)
    first = ask(recording, question(), {}, parse, deadline=5)
    again = ask(ReplayModel(file), question(), {}, parse, deadline=5)
    assert (first.value, first.calls) == (again.value, again.calls) == (7, 2)


def test_a_repair_that_came_too_late_is_replayed_as_a_failure(file: Path) -> None:
    def slow(_: Any) -> str:
        time.sleep(0.6)
        return "seven"

    recording = RecordingModel(ScriptedChatModel(slow), file)
    for model, deadline in ((recording, 0.5), (None, 5)):
        with pytest.raises(LLMError, match=r"no JSON.*asked again: no time is left"):
            ask(model or ReplayModel(file), question(), {}, _refused, deadline=deadline)


def _refused(reply: str) -> None:
    raise LLMError(f"the reply is no JSON: {reply}")


@pytest.mark.parametrize("caller", ["sync", "async"])
async def test_a_second_run_asks_what_failed_and_what_is_missing_alone(
    file: Path, caller: str
) -> None:
    way = Way("", caller)
    first = ScriptedChatModel("1", ValueError("no"))
    texts = ["works", "fails", "is new"]
    for text in texts[:2]:
        await outcome(way, RecordingModel(first, file), text)
    second = ScriptedChatModel("2", "3")
    run = [await outcome(way, RecordingModel(second, file), text) for text in texts]
    assert [reply.text for reply in run if isinstance(reply, Completion)] == ["1", "2", "3"]
    assert [messages[0]["content"] for messages in second.asked] == ["fails", "is new"]
    replay = ReplayModel(file)
    assert [await outcome(way, replay, text) for text in texts] == run


def test_what_could_not_be_used_is_asked_again_and_replayed_as_it_was(file: Path) -> None:
    with pytest.raises(LLMError) as failed:
        ask(RecordingModel(ScriptedChatModel("bad"), file), question(), {}, _refused, deadline=5)
    with pytest.raises(LLMError) as replayed:
        ask(ReplayModel(file), question(), {}, _refused, deadline=5)
    assert str(replayed.value) == str(failed.value)
    again = RecordingModel(ScriptedChatModel("good"), file)
    assert ask(again, question(), {}, str, deadline=5).value == "good"
    assert ask(ReplayModel(file), question(), {}, str, deadline=5).value == "good"


def test_of_an_older_recording_the_last_outcome_of_a_question_counts(file: Path) -> None:
    key = question_key(question(), {})
    rows = [{"question": key, "text": "old"}, {"question": key, "text": "new"}]
    file.write_text(HEAD + "".join(json.dumps(row) + "\n" for row in rows))
    replay = ReplayModel(file)
    assert [replay.complete(question(), {}, timeout=5).text for _ in range(2)] == ["new", "new"]


def test_of_two_callers_at_once_the_first_reply_is_both_ones(file: Path) -> None:
    begun = threading.Barrier(2)

    def reply(_: Any) -> str:
        return str(begun.wait(timeout=5))

    model = RecordingModel(ScriptedChatModel(reply), file)
    with ThreadPoolExecutor(2) as pool:
        replies = set(pool.map(lambda _: model.complete(question(), {}, timeout=5), range(2)))
    assert replies == {ReplayModel(file).complete(question(), {}, timeout=5)}
    assert len(lines(file)) == 2


def test_processes_may_begin_a_file_at_the_same_moment(file: Path) -> None:
    for text in ("one", "two"):
        other = file.with_name(text)
        RecordingModel(ScriptedChatModel(text), other).complete(question(text), {}, timeout=5)
    file.write_bytes(file.with_name("one").read_bytes() + file.with_name("two").read_bytes())
    unasked = RecordingModel(ScriptedChatModel("three"), file)
    for model in (unasked, ReplayModel(file)):
        assert [model.complete(question(t), {}, timeout=5).text for t in ("one", "two")] == [
            "one", "two"
        ]  # fmt: skip


def test_a_recording_is_continued_where_it_ended(file: Path) -> None:
    for text in ("one", "two"):
        RecordingModel(ScriptedChatModel(text), file).complete(question(text), {}, timeout=5)
    assert len(lines(file)) == 3
    replay = ReplayModel(file)
    assert [replay.complete(question(t), {}, timeout=5).text for t in ("one", "two")] == [
        "one", "two"
    ]  # fmt: skip


@pytest.mark.parametrize("torn", [b'{"toolret_rec', b'{"question": "abc", "te'])
def test_a_torn_last_line_is_dropped(file: Path, torn: bytes) -> None:
    begun = b"" if b"rec" in torn else b'{"toolret_recording": 1, "model": "scripted"}\n'
    file.write_bytes(begun + torn)
    if begun:
        assert ReplayModel(file).name == "scripted"
    RecordingModel(ScriptedChatModel("1"), file).complete(question(), {}, timeout=5)
    assert len(lines(file)) == 2
    assert ReplayModel(file).complete(question(), {}, timeout=5).text == "1"


ENDLESS = """
import itertools, sys
from toolret.llm import RecordingModel
from toolret.testing import ScriptedChatModel
model = RecordingModel(ScriptedChatModel(lambda m: m[0]["content"] * 500), sys.argv[1])
for number in itertools.count():
    model.complete([{"role": "user", "content": str(number)}], {}, timeout=5)
"""


def test_a_killed_run_loses_nothing(file: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", ENDLESS, str(file)])
    assert until(lambda: file.exists() and file.stat().st_size > 100_000)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    replay = ReplayModel(file)
    for number in range(30):
        reply = replay.complete(question(str(number)), {}, timeout=5)
        assert reply.text == str(number) * 500


FULL_DISK = """
import resource, signal, sys
from toolret.errors import ReplayError
from toolret.llm import RecordingModel
from toolret.testing import ScriptedChatModel
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
model = RecordingModel(ScriptedChatModel("x" * 300), sys.argv[1])
for number, most in ((1, 600), (2, 600), (3, 600), (4, -1)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, -1))
    try:
        model.complete([{"role": "user", "content": str(number)}], {}, timeout=5)
    except ReplayError as error:
        print(number, error)
"""


def test_a_full_disk_leaves_no_part_of_a_line(file: Path) -> None:
    """A file that may grow no further takes a part of a line, as one on a full disk does."""
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(file)], capture_output=True, text=True, check=True
    )
    full = f"{file}: cannot be written: No space left on device"
    assert ran.stdout.splitlines() == [f"2 {full}", f"3 {full}"]
    replay = ReplayModel(file)
    assert len(lines(file)) == 3
    for number in (1, 4):
        assert replay.complete(question(str(number)), {}, timeout=5).text == "x" * 300


def test_it_stays_where_it_is_wherever_the_process_goes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    model = RecordingModel(ScriptedChatModel("1"), file.name)
    (file.parent / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    model.complete(question(), {}, timeout=5)
    assert len(lines(file)) == 2


def test_a_recording_may_be_gzipped(file: Path) -> None:
    RecordingModel(ScriptedChatModel("1"), file).complete(question(), {}, timeout=5)
    packed = file.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert ReplayModel(packed).complete(question(), {}, timeout=5).text == "1"


HEAD = '{"toolret_recording": 1, "model": "m"}\n'


@pytest.mark.parametrize("made", [ReplayModel, lambda f: RecordingModel(ScriptedChatModel("1"), f)])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("my notes\n", "line 1: broken JSON"),
        ("my notes without a line's end", "line 1: broken JSON"),
        (HEAD[:-1].replace("m", "mine"), "line 1"),
        ('{"id": 1}\n', "line 1: is no recording of an LLM"),
        ('{"toolret_recording": 2, "model": "m"}\n', "line 1: is no recording of an LLM"),
        (HEAD + "{}\n", "line 2: is no recording of an LLM: Field required"),
        (HEAD + '{"question": "a", "text": 1}\n', "line 2: is no recording of an LLM"),
        (HEAD + "{\n{}\n", "line 2: broken JSON"),
    ],
)
def test_another_file_is_refused_and_left_as_it_was(
    file: Path, made: Callable[[Path], Any], content: str, problem: str
) -> None:
    file.write_text(content)
    with pytest.raises(ReplayError, match=problem) as raised:
        made(file)
    assert raised.value.file == str(file)
    assert file.read_text() == content


def test_a_gzipped_recording_is_not_added_to(file: Path) -> None:
    content = gzip.compress(HEAD.encode())
    file.write_bytes(content)
    with pytest.raises(ReplayError, match="is gzipped, so nothing can be added to it"):
        RecordingModel(ScriptedChatModel("1"), file)
    assert file.read_bytes() == content


def test_a_recording_of_another_model_is_left_with_its_torn_line(file: Path) -> None:
    content = HEAD + '{"question": "abc", "te'
    file.write_text(content)
    with pytest.raises(ReplayError, match="holds replies of 'm'"):
        RecordingModel(ScriptedChatModel("1"), file)
    assert file.read_text() == content


def test_files_that_cannot_be_used(file: Path) -> None:
    with pytest.raises(ReplayError, match=r"run\.jsonl"):
        ReplayModel(file)
    file.touch()
    with pytest.raises(ReplayError, match="empty"):
        ReplayModel(file)
    for unwritable in (file.parent, file / "below", file.parent / "none" / "run.jsonl"):
        with pytest.raises(ReplayError, match=r"cannot be (read|written)"):
            RecordingModel(ScriptedChatModel("1"), unwritable)
    file.write_text('{"toolret_recording": 1, "model": "other"}\n')
    with pytest.raises(ReplayError, match="holds replies of 'other', not of 'scripted'"):
        RecordingModel(ScriptedChatModel("1"), file)
