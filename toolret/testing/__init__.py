"""Deterministic stand-ins for tests, also for users' own: an embedder, a model, a server."""

from toolret.testing.chat_model import ScriptedChatModel
from toolret.testing.hashed_words import HashedWordsEmbedder
from toolret.testing.openai_server import OpenAIServer, Reply

__all__ = ["HashedWordsEmbedder", "OpenAIServer", "Reply", "ScriptedChatModel"]
