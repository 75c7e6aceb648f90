"""Instructions: prefixes of texts to embed, which depend on the role of the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from toolret.options import of_kind

__all__ = ["LLM_EMBEDDER_INSTRUCTIONS", "Instructions", "Role", "instructions_from"]

Role: TypeAlias = Literal["tool", "demo", "tool_request", "demo_request"]
"""The role of a text: a tool, a demonstration, or a request for tools or for demonstrations."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """The prefixes of texts, for models that were trained with instructions; empty for none.

    Attributes:
        tool: The prefix of the texts of tools.
        demo: The prefix of the texts of demonstrations.
        tool_request: The prefix of requests that are compared with tools.
        demo_request: The prefix of requests that are compared with demonstrations.
    """

    tool: str = ""
    demo: str = ""
    tool_request: str = ""
    demo_request: str = ""

    def __post_init__(self) -> None:
        for role in get_args(Role):
            of_kind(role, getattr(self, role), str, "a text; empty for no instruction")

    def of(self, role: Role) -> str:
        """Return the instruction of one role."""
        return str(getattr(self, role))


LLM_EMBEDDER_INSTRUCTIONS = Instructions(
    tool="Transform this tool description for retrieval: ",
    demo="Convert this example into vector for retrieval: ",
    tool_request="Transform this user request for fetching helpful tool descriptions: ",
    demo_request="Convert this example into vector to look for useful examples: ",
)
"""The instructions that LLM-Embedder was trained with (Zhang et al., 2023, arXiv:2310.07554)."""


def instructions_from(prompts: Mapping[str, str]) -> Instructions:
    """Return a sentence-transformers model's prompts as instructions.

    A prompt is looked up by the role's own name, then by the names that models commonly use. A
    demonstration is an earlier request: models that tell queries from documents read it as a query,
    so that like is compared with like.

    Args:
        prompts: The model's prompts by name.
    """

    def first(*names: str) -> str:
        return next((prompts[name] for name in names if name in prompts), "")

    return Instructions(
        tool=first("tool", "document", "passage"),
        demo=first("demo", "query"),
        tool_request=first("tool_request", "request", "query"),
        demo_request=first("demo_request", "request", "query"),
    )
