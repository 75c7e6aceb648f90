"""Calling tools: API operations over HTTP, LangChain tools, functions."""

from __future__ import annotations

from toolret.calling.http import HttpRunner
from toolret.calling.results import Runner, ToolResult
from toolret.calling.security import Credentials, Secret, SecurityScheme
from toolret.calling.toolbox import Toolbox

__all__ = [
    "Credentials",
    "HttpRunner",
    "Runner",
    "Secret",
    "SecurityScheme",
    "ToolResult",
    "Toolbox",
]
