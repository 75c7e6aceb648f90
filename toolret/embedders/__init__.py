"""Turn texts into vectors: one embedder for tools, demonstrations and requests.

Anything with LangChain's method names serves as an embedder (``embed_documents`` and
``embed_query``), so LangChain's own embedders work unadapted. What they lack is an identity, and an
instruction for each role of a text; ``RoleEmbedder`` adds both.
"""

from toolret.embedders.instructions import LLM_EMBEDDER_INSTRUCTIONS, Instructions, Role
from toolret.embedders.model_files import DEFAULT_MODEL
from toolret.embedders.openai_embedder import OpenAIEmbedder
from toolret.embedders.protocols import BatchEmbedder, Embedder
from toolret.embedders.role_embedder import RoleEmbedder, resolve_embedder
from toolret.embedders.sentence_transformer import Backend, SentenceTransformerEmbedder
from toolret.embedders.unit_vectors import Vectors

__all__ = [
    "DEFAULT_MODEL",
    "LLM_EMBEDDER_INSTRUCTIONS",
    "Backend",
    "BatchEmbedder",
    "Embedder",
    "Instructions",
    "OpenAIEmbedder",
    "Role",
    "RoleEmbedder",
    "SentenceTransformerEmbedder",
    "Vectors",
    "resolve_embedder",
]
