"""``ToolIndex``: tools and demonstrations with their vectors, kept in a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from toolret.embedders import Embedder, Instructions, RoleEmbedder, resolve_embedder
from toolret.errors import CatalogError, DemoError
from toolret.files.plain_rows import items_of_type, unique
from toolret.index.shelves import DEMOS, TOOLS, Item, ItemForm, Snapshot
from toolret.index.snapshots import Snapshots
from toolret.index.syncing import Collections, Progress, SyncReport
from toolret.options import of_kind
from toolret.stores import absent, store_at
from toolret.stores.locks import LOCK_SECONDS
from toolret.stores.records import Kind, Store, any_synced
from toolret.text.nearest import did_you_mean, nor_others
from toolret.types import RECORDED, Demo, Tool

__all__ = ["ToolIndex", "checked_demos"]


class ToolIndex:
    """Tools and demonstrations, embedded once and kept in a store.

    Iterating gives the tools in order of their ids; ``len`` is their number.

    Args:
        place: A folder, made at the first sync; the URL of a Chroma server,
            ``http://HOST:PORT/NAME``; or a store made by ``toolret.stores``.
        embedder: A sentence-transformers name or folder (``onnx:NAME`` to run it with onnxruntime),
            ``openai:NAME``, or any object with LangChain's ``embed_documents`` and
            ``embed_query``. By default all-MiniLM-L6-v2.
        instructions: The prefix of texts of each role; a ``RoleEmbedder`` has its own.
        reembed: Embed everything again if the index was built with another embedder, or if the
            embedder's vectors have a new length under the same id.
        create: Whether a new index may be made if there is none.
        lock_timeout: Seconds to wait for another process that is writing; unused if ``place`` is a
            store.
        progress: Called repeatedly while texts are embedded: with ``tools`` or ``demos``, the
            number of these that are embedded by now, and the number to embed (of an iterator's,
            those that were read so far).

    Raises:
        EmbedderMismatchError: If the index was built with another embedder.
        StoreError: If there is no index and none may be made, or it cannot be read.
        EmbedderError: If the embedding model cannot be found, or ``instructions`` differ from those
            of a ``RoleEmbedder``.
        TypeError: If ``place`` or ``progress`` is of another kind.

    Attributes:
        embedder: The embedder of the tools, demonstrations and queries.
        snapshots: The snapshots of the index, which retrievers share between threads.
    """

    def __init__(
        self,
        place: str | Path | Store,
        *,
        embedder: str | Path | Embedder | RoleEmbedder | None = None,
        instructions: Instructions | None = None,
        reembed: bool = False,
        create: bool = True,
        lock_timeout: float = LOCK_SECONDS,
        progress: Progress | None = None,
    ) -> None:
        of_kind("progress", progress, Callable | None, "a function of a kind and two numbers")
        if not isinstance(place, str | Path):
            of_kind("place", place, Store, "a folder, a URL, or a store of toolret.stores")
        self._store = (
            store_at(place, lock_timeout=lock_timeout) if isinstance(place, str | Path) else place
        )
        self._check_place(create=create)
        self.embedder = resolve_embedder(embedder, instructions=instructions)
        self._collections = Collections(self._store, self.embedder, progress)
        if reembed:
            self._collections.reembed()
        self._collections.check()
        self.snapshots = Snapshots(self._store, self._collections)

    def __repr__(self) -> str:
        # Must not read the index: debuggers and logs ask for it at any time.
        snapshot = self.snapshots.kept
        if snapshot is None:
            return f"<ToolIndex {self._store.place!r}: not read yet>"
        tools, demos = len(snapshot.tools.ids), len(snapshot.demos.ids)
        return f"<ToolIndex {self._store.place!r}: {tools:,} tools, {demos:,} demonstrations>"

    @property
    def store(self) -> Store:
        """The store that keeps the index."""
        return self._store

    @property
    def snapshot(self) -> Snapshot:
        """The index as this object last saw it; read on first use.

        Raises what ``refresh`` raises.
        """
        return self.snapshots.current

    @property
    def demos(self) -> tuple[Demo, ...]:
        """All demonstrations, in order of their ids."""
        return tuple(self.snapshot.demos.items)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self.snapshot.tools.items)

    def __len__(self) -> int:
        return len(self.snapshot.tools.items)

    def __contains__(self, tool_id: object) -> bool:
        return tool_id in self.snapshot.tools.positions

    def get_tool(self, tool_id: str) -> Tool | None:
        """Return the tool with this id, or None."""
        position = self.snapshot.tools.positions.get(tool_id)
        return None if position is None else self.snapshot.tools.items[position]

    def get_demo(self, demo_id: str) -> Demo | None:
        """Return the demonstration with this id, or None."""
        position = self.snapshot.demos.positions.get(demo_id)
        return None if position is None else self.snapshot.demos.items[position]

    def sync(
        self,
        tools: Iterable[Tool],
        demos: Iterable[Demo] | None = None,
        *,
        keep_recorded: bool = True,
    ) -> dict[Kind, SyncReport]:
        """Sync tools and, unless ``demos`` is None, demonstrations, as one visible change.

        Does what ``sync_tools`` and ``sync_demos`` do, and raises what they raise, but checks
        everything before anything is written.
        """
        checked = unique(items_of_type(tools, Tool, error=CatalogError), error=CatalogError)
        if demos is not None:
            demos = _check_demos(_with_called_tools(demos), {tool.id for tool in checked})
        reports: dict[Kind, SyncReport] = {}
        with self._store.together():
            reports["tools"] = self._collections.write(TOOLS, checked)
            if demos is not None:
                keep = _is_recorded if keep_recorded else None
                reports["demos"] = self._collections.write(DEMOS, demos, keep=keep, anew=True)
        self.snapshots.see_own()
        return reports

    def add(
        self, tools: Iterable[Tool], demos: Iterable[Demo] | None = None
    ) -> dict[Kind, SyncReport]:
        """Do what ``add_tools`` and, unless ``demos`` is None, ``add_demos`` do, as one change.

        Everything is checked before anything is written. Raises what the two raise.
        """
        checked = unique(items_of_type(tools, Tool, error=CatalogError), error=CatalogError)
        new_ids = {tool.id for tool in checked}
        new_demos = None if demos is None else _with_called_tools(demos)
        self._check_not_gone()
        if new_demos is not None and not self._store.exists():
            _check_demos(new_demos, new_ids)  # now, because opening a new index creates it
        reports: dict[Kind, SyncReport] = {}
        with self._store.together():
            if new_demos is not None:
                known_ids = new_ids.union(self._collections.ids(TOOLS))
                new_demos = _check_demos(new_demos, known_ids)
            reports["tools"] = self._collections.write(TOOLS, checked, keep=lambda _: True)
            if new_demos is not None:
                reports["demos"] = self._collections.write(DEMOS, new_demos, keep=lambda _: True)
        self.snapshots.see_own()
        return reports

    def sync_tools(self, tools: Iterable[Tool]) -> SyncReport:
        """Make these the index's tools; only new and changed ones are embedded.

        Readers see the whole change or none of it. A sync that fails or is interrupted leaves the
        index as it was, and the next one resumes where it stopped.

        Raises:
            CatalogError: If two different tools share an id, a tool cannot be stored as a row, or
                something is not a ``Tool``.
            EmbedderError: If the embedder fails.
            StoreError: If the index cannot be written.
        """
        return self._change(TOOLS, items_of_type(tools, Tool, error=CatalogError))

    def add_tools(self, tools: Iterable[Tool]) -> SyncReport:
        """Add tools, or replace those with the same ids; raises as ``sync_tools`` does.

        If the index is gone since it was read, that is a ``StoreError`` too.
        """
        checked = items_of_type(tools, Tool, error=CatalogError)
        self._check_not_gone()
        return self._change(TOOLS, checked, keep=lambda _: True)

    def remove_tools(self, tool_ids: Iterable[str]) -> SyncReport:
        """Remove tools; ids that are not in the index are ignored.

        Raises:
            CatalogError: If the ids are a string, which Python takes for a collection of letters,
                or not strings.
            StoreError: If the index is gone or cannot be written.
        """
        return self._remove(TOOLS, tool_ids)

    def sync_demos(self, demos: Iterable[Demo], *, keep_recorded: bool = True) -> SyncReport:
        """Make these the index's demonstrations, as ``sync_tools`` does for tools.

        Demonstrations learnt by ``ToolRetriever.record`` are kept as well, since they exist nowhere
        else, unless ``keep_recorded`` is False or one given here has the same id. A demonstration's
        tools are those that it names and those that its calls use.

        Raises:
            DemoError: If one uses a tool that the index does not hold, two different demonstrations
                share an id, one cannot be stored as a row, or something is not a ``Demo``.
            EmbedderError: If the embedder fails.
            StoreError: If there is no index yet, or no longer, or it cannot be written.
        """
        keep = _is_recorded if keep_recorded else None
        return self._change_demos(demos, keep=keep, anew=True)

    def add_demos(self, demos: Iterable[Demo]) -> SyncReport:
        """Add demonstrations, or replace those with the same ids; raises as ``sync_demos``."""
        return self._change_demos(demos, keep=lambda _: True)

    def remove_demos(self, demo_ids: Iterable[str]) -> SyncReport:
        """Remove demonstrations; ids that are not in the index are ignored.

        Raises:
            DemoError: If the ids are a string, which Python takes for a collection of letters, or
                not strings.
            StoreError: If the index is gone or cannot be written.
        """
        return self._remove(DEMOS, demo_ids)

    def refresh(self) -> None:
        """Read what other processes have written since the last read.

        If the index is gone, what was read of it stays.

        Raises:
            EmbedderMismatchError: If it was embedded with another embedder.
            StoreError: If the index cannot be read.
        """
        self.snapshots.keep(self.snapshots.read())

    def is_stale(self) -> bool:
        """Whether the index has changed since it was read; checks twice a second at most.

        It costs next to nothing, and returns False if it cannot tell. Between two checks the answer
        stays the same unless the index is read. An index that is gone may be about to be built
        again, so it does not count as changed, and what was read of it stays.
        """
        return self.snapshots.is_stale()

    def see_latest(self) -> None:
        """Have this thread or asyncio task served by no snapshot older than ``snapshot``."""
        self.snapshots.see_current()

    def _change(
        self,
        form: ItemForm[Item],
        items: Iterable[Item],
        *,
        keep: Callable[[str], bool] | None = None,
        anew: bool = False,
    ) -> SyncReport:
        """Write a collection, and read the index again."""
        report = self._collections.write(form, items, keep=keep, anew=anew)
        self.snapshots.see_own()
        return report

    def _change_demos(
        self,
        demos: Iterable[Demo],
        *,
        keep: Callable[[str], bool] | None,
        anew: bool = False,
    ) -> SyncReport:
        """Write demonstrations whose tools the index holds, and read the index again."""
        complete = _with_called_tools(demos)
        self._check_exists()
        with self._store.together():
            checked = _check_demos(complete, self._collections.ids(TOOLS))
            report = self._collections.write(DEMOS, checked, keep=keep, anew=anew)
        self.snapshots.see_own()
        return report

    def _remove(self, form: ItemForm[Item], ids: Iterable[str]) -> SyncReport:
        if isinstance(ids, str):
            raise form.error(f"{ids!r} is a text: give a collection of ids")
        unwanted = list(ids)
        if other := [id_ for id_ in unwanted if not isinstance(id_, str)]:
            kind = type(other[0]).__name__
            raise form.error(f"what is removed is named by its id, a text, not by a {kind}")
        removed = frozenset(unwanted)
        self._check_exists()
        return self._change(form, (), keep=lambda id_: id_ not in removed)

    def _check_place(self, *, create: bool) -> None:
        """Raise ``StoreError`` if there is no index and none may be made."""
        if self._store.exists():
            return
        self._store.check_new()
        if not create:
            raise absent(self._store)

    def _check_not_gone(self) -> None:
        """Raise if the index is gone since it was read; one that was never there may be made."""
        if self.snapshots.kept and any_synced(self.snapshots.kept.generations):
            self._check_exists()

    def _check_exists(self) -> None:
        """Raise if the index is gone: writing without tools would empty it for its readers."""
        if not self._store.exists():
            raise absent(self._store)


def _is_recorded(demo_id: str) -> bool:
    return demo_id.startswith(RECORDED)


def _with_called_tools(demos: Iterable[Demo]) -> list[Demo]:
    """Return the demonstrations with their calls' tools added, as when rows are read."""
    return [
        replace(demo, tools=tuple(dict.fromkeys([*(c.tool for c in demo.calls), *demo.tools])))
        for demo in items_of_type(demos, Demo, error=DemoError)
    ]


def checked_demos(demos: Iterable[Demo], tool_ids: Collection[str]) -> list[Demo]:
    """Return the demonstrations in the form in which an index of these tools holds them.

    Raises:
        DemoError: If one uses another tool, two different ones share an id, or something is not a
            ``Demo``.
    """
    return _check_demos(_with_called_tools(demos), tool_ids)


def _check_demos(demos: Sequence[Demo], tool_ids: Collection[str]) -> list[Demo]:
    """Check that an index of these tools can hold demonstrations; return them without duplicates.

    Raises:
        DemoError: If one uses an unknown tool, or two different ones share an id.
    """
    unknown = [(demo, tool) for demo in demos for tool in demo.tools if tool not in tool_ids]
    if unknown:
        demo, first = unknown[0]
        raise DemoError(
            f"demonstration {demo.id!r} names the tool {first!r}, which the index does not hold"
            f"{nor_others(first, (tool for _, tool in unknown))}: add its catalog, or correct the "
            f"id{did_you_mean(first, tool_ids)}",
            place=demo.origin,
        )
    return unique(demos, error=DemoError)
