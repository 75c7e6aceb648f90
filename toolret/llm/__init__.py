"""One adapter to all models: the rest of the code sees ``ChatModel``, and asks by ``ask``."""

from toolret.llm.adapters import as_chat_model
from toolret.llm.asking import Answer, aask, ask
from toolret.llm.model import ChatModel, Completion, Messages, Schema
from toolret.llm.replies import json_object

__all__ = [
    "Answer",
    "ChatModel",
    "Completion",
    "Messages",
    "Schema",
    "aask",
    "as_chat_model",
    "ask",
    "json_object",
]
