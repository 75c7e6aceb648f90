"""Chooses, shortens and packs what the planner is shown: tools and worked examples."""

from toolret.prompt.packed import Dropped, Format, Packed
from toolret.prompt.packing import catalog_tokens, pack, pack_alone

__all__ = ["Dropped", "Format", "Packed", "catalog_tokens", "pack", "pack_alone"]
