"""OpenAI's client: requests that offer the right tools, and loops that run what is called."""

from __future__ import annotations

from toolret.integrations.openai.access import permitting
from toolret.integrations.openai.calls import arun_calls, run_calls
from toolret.integrations.openai.client import offered, wrap
from toolret.integrations.openai.loop import Api, Run, arun, run
from toolret.integrations.openai.offered import Offered
from toolret.integrations.openai.planning import Mode

__all__ = [
    "Api",
    "Mode",
    "Offered",
    "Run",
    "arun",
    "arun_calls",
    "offered",
    "permitting",
    "run",
    "run_calls",
    "wrap",
]
