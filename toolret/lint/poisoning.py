"""Texts that manipulate the model unnoticed: hidden characters, and commands to it.

A catalog's texts go into the prompt, so the author of a description can try to steer the agent
("tool poisoning"). The patterns below match published attacks. They detect plain attempts only;
having no findings does not make a source trustworthy.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolret.json_values import json_pointer
from toolret.lint.findings import Finding
from toolret.text.visible import code_point, is_hidden, visible
from toolret.types import Tool

__all__ = ["suspicious_texts"]

_MAX_SHOWN = 60
"""The most characters of a suspicious text that a finding shows."""

# Signs that confirm a command, since plain descriptions may use the same words: a product has
# rules, and a helpdesk has conversations.
_ORDERS = r"\b(instructions?|prompts?|rules|guidelines|guardrails)\b"
"""A pattern of words for what a model was told to do."""

_PRIVATE = (
    "conversation|chat history|system prompt|credentials|secrets|private keys?|passwords"
    "|environment variables"
)
"""A pattern of words for what a model may know, and should not pass on."""

_USERS = (
    r"\busers?['\u2019]s?\s+(\w+\s+)?(api keys?|access tokens?|credentials|passwords?|secrets)\b"
)
"""A pattern of words for the secrets of a user."""

_USER = r"\b(user|human)\b(?!['\u2019]s|s? (name|id|e-?mail))"
"""A pattern of words for the user, but neither for a user's things nor for a field's name."""

_ADDRESS = r"(?:[\w+-]@\w|https?://|\b[\w-]+\.[a-z]{2,}\b)"
"""A pattern of e-mail and web addresses."""

_COMMANDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (meaning, re.compile(pattern, re.IGNORECASE))
    for meaning, pattern in (
        (
            "it tells the model to disregard its instructions",
            r"\b(ignore|disregard|forget)\s+(everything|anything|all)\s+(of the |that is )?above"
            r"(?=\s*(and\b|[.,;:!]|$))"
            r"|(?!(override|bypass)[^.]{0,20}\bsystem rules\b)"  # firewalls have some
            r"\b(ignore|disregard|forget|override|bypass)\b[^.]{0,20}(?:"
            r"\b(previous|prior|above|earlier|preceding|system|safety)\b[^.]{0,20}"
            rf"{_ORDERS}|\b(your|these)\s+((own|other|original)\s+)?{_ORDERS}"
            r"|\b(all|other)\s+((of|the|those|other)\s+){0,3}(instructions|prompts)\b)",
        ),
        (
            "it tells the model to keep something from the user",
            r"\b(do not|don['\u2019]t|never|without|avoid|must not)\b[^.]{0,20}"
            r"\b(tell|telling|mention|mentioning|inform|informing|notify|notifying|reveal|revealing"
            rf"|alert|alerting|show|showing|let)\b[^.]{{0,15}}\b(the |this to the )?{_USER}"
            r"|\b(keep\s+(\w+\s+){1,3}(confidential|hidden|private|secret)|(conceal|hide)\s+(it|this))"
            rf"\s+from\s+(the\s+)?{_USER}",
        ),
        (
            "it tells the model what to do before or instead of other calls",
            r"\b(before|prior to|when|after|instead of|whenever)\s+(\w+\s+){0,2}"
            r"(using|calling|invoking|running|executing)\s+(?:"
            r"(\w+\s+)?(any|all|each|every|another|other)\s+(\w+\s+){0,2}(tools?|functions?)\b"
            r"[^.]{0,60}\b(you must|always|first|read|send|call|fetch|include|pass)\b"
            r"|(\w+\s+){0,2}(tools?|functions?)\b[^.]{0,60}\b(you must|always)\b[^.]{0,20}"
            r"\b(read|send|fetch|include|pass|forward)\b[^.]{0,40}"
            rf"\b(files?|contents?|messages|history|{_PRIVATE})\b)"
            r"|\b(before|after|when|whenever|(each|every) time)\s+you\s+(use|call|invoke|run)\s+"
            r"(any|the|this)\s+(tool|function)\b[^.]{0,40}\b(also|always|first|must)\b[^.]{0,20}"
            r"\b(read|send|fetch|include|pass|forward)\b[^.]{0,40}"
            rf"\b(files?|contents?|messages|history|{_PRIVATE})\b",
        ),
        (
            "it speaks as if it were the system or the user",
            r"<\|?(im_start|im_end|system|assistant|endoftext)\|?>|\[/?INST\]|<</?SYS>>"
            r"|</?(important|secret|hidden|instructions?|system)>"
            r"|^\s*#+\s*(system|instructions?)\b|\byou are now (in|a|an|the)\b",
        ),
        (
            "it names files that hold secrets",
            r"~/\.(ssh|aws|gnupg|kube|docker|netrc|cursor)\b|\bid_(rsa|ed25519|ecdsa)\b(?!\.pub)"
            r"|/etc/(passwd|shadow)\b|\bmcp\.json\b|\.env\b(?= file| and|,|\.|$)",
        ),
        (
            "it tells the model to send data elsewhere",
            rf"\b(exfiltrate|leak)\b[^.]{{0,60}}\b({_PRIVATE})\b"
            r"|\b(send|post|forward|upload|transmit|bcc)\b(?:"
            rf"[^.]{{0,60}}(\b({_PRIVATE})\b|{_USERS})[^.]{{0,60}}\b(to|at)\b[^.@]{{0,60}}?{_ADDRESS}"
            rf"|[^.]{{0,40}}\b(this|our)\s+(\w+\s+)?({_PRIVATE})\b[^.]{{0,60}}\b(to|at)\b)"
            rf"|\b(add|append|copy|include|pass|put|send|write)\b[^.]{{0,20}}{_USERS}[^.]{{0,20}}"
            r"\b(as|in|into|to)\s+(a|the)\s+['\"`\u2018\u201c]?"
            # a tool that logs in has a parameter for it
            r"(?!\w*(auth|cred|key|login|pass|pwd|secret|token))\w+['\"`\u2019\u201d]?\s+"
            r"(argument|field|parameter)\b",
        ),
    )
)
"""Patterns of commands to the model, each with what a command of this kind does."""


def suspicious_texts(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find hidden characters, and commands to the model, in all texts of the tools."""
    for tool in tools:
        for place, text in _texts(tool):
            if hidden := sorted({c for i, c in enumerate(text) if is_hidden(text, i)}):
                listed = ", ".join(map(code_point, hidden[:5]))
                problem = f"it holds characters that are not seen: {listed}"
                yield Finding("hidden-character", (tool.id,), problem, place)
            for problem in _commands_in(text):
                yield Finding("instruction-to-model", (tool.id,), problem, place)


def _commands_in(text: str) -> Iterator[str]:
    """Yield a description of each kind of command to the model that a text holds."""
    plain = "".join(c for i, c in enumerate(text) if not is_hidden(text, i))
    plain = unicodedata.normalize("NFKC", plain)
    for meaning, pattern in _COMMANDS:
        if match := pattern.search(plain):
            yield f"{meaning}: {visible(plain[match.start() : match.start() + _MAX_SHOWN])!r}"


def _texts(tool: Tool) -> Iterator[tuple[str, str]]:
    """Yield all texts of a tool that may reach a prompt, each with its place."""
    yield from (("name", tool.name), ("namespace", tool.namespace))
    yield "description", tool.description
    yield from (("tags", tag) for tag in tool.tags)
    waiting: list[tuple[str, Any]] = [("", tool.parameters)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            yield place, value
        elif isinstance(value, Mapping):
            for key, part in value.items():
                waiting.append((json_pointer(place, key), part))
                yield json_pointer(place, key), str(key)
        elif isinstance(value, list):
            waiting += [(json_pointer(place, index), part) for index, part in enumerate(value)]
