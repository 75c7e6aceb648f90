"""General requests: those that a model answers by itself, whatever tools there are.

Such are small talk, advice, explanations and the writing of texts. Demonstrations seldom show them,
so a few are built in. Their topics have little in common; what they share is the mean of their
vectors. Nearness to it tells, beside distance from all tools, that a request may need none.
"""

from __future__ import annotations

import numpy as np

from toolret.embedders import RoleEmbedder
from toolret.ranking.arrays import Floats

__all__ = ["GENERAL_REQUESTS", "general_vectors"]

GENERAL_REQUESTS = (
    "hello, how are you today",
    "thanks, that was all",
    "good morning",
    "who are you and what can you do",
    "never mind",
    "let us talk about something else",
    "you are wrong, think again",
    "what do you think of modern art",
    "what is the meaning of life",
    "is it wrong to lie to protect somebody",
    "give me some advice, I am sad",
    "how do I make new friends in a new town",
    "how can I sleep better",
    "what should I say in a job interview",
    "how do I get a wine stain out of a carpet",
    "list three reasons to exercise",
    "what are some ideas for a party with children",
    "make a plan to learn a language in a year",
    "explain why the sky is blue",
    "why do people yawn",
    "what is the difference between a virus and a bacterium",
    "who was the first emperor of Rome",
    "what would happen if the moon disappeared",
    "explain recursion to a child",
    "compare capitalism and socialism",
    "what are the pros and cons of working from home",
    "summarise the plot of Hamlet",
    "what does this proverb mean",
    "write me a short poem about autumn",
    "write a story in which a dog saves a village",
    "continue this story",
    "write an essay about the causes of the French revolution",
    "write a birthday speech for my father",
    "write an advertisement for a new kind of chocolate",
    "give me ten names for a cat",
    "imagine you are a pirate and greet me",
    "play the role of a strict teacher",
    "write a function that reverses a string in Python",
    "rewrite this sentence so that it sounds more polite",
    "make this paragraph shorter",
    "correct the grammar of this text",
    "classify the following statement as true or false",
    "answer the following multiple choice question",
    "if all cats are animals and some animals bark, do some cats bark",
)
"""The requests, in the words of users."""


def general_vectors(embedder: RoleEmbedder) -> Floats:
    """Return the vectors of the general requests, shape ``(requests, dimensions)``.

    Raises:
        EmbedderError: If the embedder fails.
    """
    return np.asarray(embedder.embed(GENERAL_REQUESTS, "tool_request"))
