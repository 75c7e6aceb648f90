"""Tools and demonstrations with their vectors, as one object over a store."""

from toolret.index.shelves import Shelf, Snapshot
from toolret.index.syncing import Progress, SyncReport
from toolret.index.tool_index import ToolIndex

__all__ = ["Progress", "Shelf", "Snapshot", "SyncReport", "ToolIndex"]
