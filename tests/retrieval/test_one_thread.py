"""A request is answered in the thread that asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# A process of its own, since that of the tests has other threads.
PROGRAM = """
import random, sys, time
from toolret import Demo, Tool, ToolIndex, ToolRetriever
from toolret.testing import HashedWordsEmbedder

rng = random.Random(0)
words = [f"word{number}" for number in range(200)]
text = lambda: " ".join(rng.sample(words, 40))
tools = [Tool(id=f"tool{number}", name=f"tool{number}", description=text()) for number in range(50)]
demos = [
    Demo(id=f"demo{number}", text=text(), tools=(f"tool{number % 50}",)) for number in range(300)
]
index = ToolIndex(sys.argv[1], embedder=HashedWordsEmbedder())
index.sync(tools, demos)
retriever = ToolRetriever(index)
requests = [text() for _ in range(60)]
retriever.select(requests.pop(), depth=10)
time.sleep(0.5)  # until threads that helped to fit have come to rest
in_all, here = time.process_time(), time.thread_time()
for request in requests:
    assert retriever.select(request, depth=10).ranked
print((time.process_time() - in_all) / (time.thread_time() - here))
"""


def test_no_other_thread_works_for_a_request_nor_waits_busily_for_the_next(tmp_path: Path) -> None:
    # A thread of BLAS waits busily for more work, on a core that the embedder needs.
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "index")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 1.2
