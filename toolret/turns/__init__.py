"""Read conversations of any form as messages, and group them into turns."""

from toolret.turns.contents import clean, content_text, spoken_text, words_of
from toolret.turns.messages import Unread, messages_of
from toolret.turns.turns import Asked, Turn, arguments_of, mapped, turns, value_of

__all__ = [
    "Asked",
    "Turn",
    "Unread",
    "arguments_of",
    "clean",
    "content_text",
    "mapped",
    "messages_of",
    "spoken_text",
    "turns",
    "value_of",
    "words_of",
]
