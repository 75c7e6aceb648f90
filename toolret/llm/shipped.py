"""The prompts that are shipped with the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["prompt_text"]


@cache
def prompt_text(name: str) -> str:
    """Return the text of a shipped prompt, such as ``rewrite_v1``."""
    return files("toolret.llm").joinpath("prompts", f"{name}.txt").read_text("utf-8")
