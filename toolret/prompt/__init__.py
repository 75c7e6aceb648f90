"""What the planner is shown: tools and worked examples, chosen, shortened and packed."""

from toolret.prompt.packing import Dropped, Format, Packed, catalog_tokens, pack, pack_alone

__all__ = ["Dropped", "Format", "Packed", "catalog_tokens", "pack", "pack_alone"]
