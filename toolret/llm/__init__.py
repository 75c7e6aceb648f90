"""One adapter to all models: the rest of the code sees ``ChatModel``."""

from toolret.llm.adapters import as_chat_model
from toolret.llm.model import ChatModel, Completion, Messages, Schema
from toolret.llm.replies import json_object

__all__ = ["ChatModel", "Completion", "Messages", "Schema", "as_chat_model", "json_object"]
