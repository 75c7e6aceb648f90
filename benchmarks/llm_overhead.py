"""Measure what a question to a model costs besides the call itself.

    python -m benchmarks.llm_overhead

A server in another process answers at once. The same client asks it directly, through ``ask`` with
its deadline, retries and circuit, through a cache that misses, and through a cache that hits. The
table has CPU and wall milliseconds per question, as medians of the rounds, which take turns so that
a busy machine affects all ways alike.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from openai import OpenAI

from toolret.llm import ChatModel, as_chat_model, ask
from toolret.llm.structured import response_format
from toolret.testing import OpenAIServer, Reply

REPLY = '{"queries": ["update the address of a customer"]}'
SCHEMA = {
    "type": "object",
    "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
    "required": ["queries"],
    "additionalProperties": False,
}
PROMPT = "Write retrieval queries for this conversation. " * 40


def question(number: int) -> list[dict[str, str]]:
    """Return the messages of a question that is different for each number."""
    return [{"role": "user", "content": f"{PROMPT}{number}"}]


def serve(pipe: Connection) -> None:
    """Run a server until the other end is closed."""
    with OpenAIServer(Reply(REPLY)) as server:
        pipe.send(server.base_url)
        pipe.recv()


def main() -> None:
    """Start the server, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--questions", type=int, default=20, help="in a round")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    with OpenAI(api_key="k", base_url=ours.recv()) as client, tempfile.TemporaryDirectory() as at:
        measure(client, Path(at), rounds=options.rounds, questions=options.questions)
    ours.send(None)
    server.join()


def measure(client: OpenAI, folder: Path, *, rounds: int, questions: int) -> None:
    """Ask in all ways, round after round, and print what each way took."""
    steady = as_chat_model(client, "m")
    cached = as_chat_model(client, "m", cache=folder / "replies.sqlite3")

    create: Any = client.chat.completions.create  # its overloads are for literals

    def ask_directly(number: int) -> None:
        create(model="m", messages=question(number), response_format=response_format(SCHEMA))

    def ask_model(model: ChatModel, number: int) -> None:
        ask(model, question(number), SCHEMA, str, deadline=30)

    ways: dict[str, Callable[[int], None]] = {
        "the client alone": ask_directly,
        "ask": partial(ask_model, steady),
        "ask, cache misses": partial(ask_model, cached),
        "ask, out of the cache": partial(ask_model, cached),
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for number in range(questions):
                way(turn * questions + number)
            spent = time.process_time() - cpu, time.perf_counter() - wall
            if turn:  # the first one warms up
                took[name].append(spent)
    print("| way | CPU ms | wall ms |\n|---|---|---|")
    for name, times in took.items():
        cpu, wall = (
            statistics.median(column) / questions * 1000 for column in zip(*times, strict=True)
        )
        print(f"| {name} | {cpu:.2f} | {wall:.2f} |")


if __name__ == "__main__":
    main()
