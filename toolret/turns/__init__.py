"""Read conversations of any form as messages, and group them into turns."""

from toolret.turns.contents import content_text, spoken_text, words_of
from toolret.turns.messages import Unread, field_of, messages_of
from toolret.turns.turns import (
    Turn,
    TurnCall,
    arguments_of,
    map_values,
    says_failed,
    turns,
    value_of,
)

__all__ = [
    "Turn",
    "TurnCall",
    "Unread",
    "arguments_of",
    "content_text",
    "field_of",
    "map_values",
    "messages_of",
    "says_failed",
    "spoken_text",
    "turns",
    "value_of",
    "words_of",
]
