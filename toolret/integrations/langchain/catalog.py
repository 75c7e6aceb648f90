"""The tools of an index that an agent can run, and the names by which its model calls them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.tools import BaseTool

from toolret.calling import Toolbox
from toolret.index import Snapshot
from toolret.integrations.langchain.tools import langchain_tools
from toolret.permissions import Allow, is_allowed
from toolret.recent import Recent
from toolret.text.names import ids_by_name, wire_name
from toolret.types import Demo, Tool

__all__ = ["AgentCatalog", "Available", "CatalogEntry"]

_CACHED_TOOLS = 1_000
"""How many tools are cached in the form that a model is shown: as many as ten long lists hold."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A tool of the index that the agent can run.

    Attributes:
        name: The name by which the model calls it.
        tools: The index's tools of that name: one, or several that cannot be told apart.
        agent_tool: The tool that the agent was given; None if the toolbox runs it.
    """

    name: str
    tools: tuple[Tool, ...]
    agent_tool: BaseTool | None = None

    def is_permitted(self, allow: Allow) -> bool:
        """Whether the caller may use all of its tools."""
        return all(is_allowed(tool, allow) for tool in self.tools)


class AgentCatalog:
    """A snapshot's tools, by the names that agents have for them.

    Args:
        snapshot: The snapshot of the index.
        toolbox: Runs tools that the agent was not given.
    """

    def __init__(self, snapshot: Snapshot, toolbox: Toolbox | None) -> None:
        self.snapshot = snapshot
        self.toolbox = toolbox
        tools = {tool.id: tool for tool in snapshot.tools.items}
        self.tools: Mapping[str, Tool] = tools
        self.demos: Mapping[str, Demo] = {demo.id: demo for demo in snapshot.demos.items}
        self.in_toolbox = frozenset(tool.id for tool in toolbox or () if tool.id in tools)
        self._by_wire_name = {name: tools[id_] for name, id_ in ids_by_name(tools).items()}
        by_name: dict[str, list[Tool]] = {}
        for tool in tools.values():
            by_name.setdefault(tool.name, []).append(tool)
        self._by_name = by_name

    def is_of(self, snapshot: Snapshot, toolbox: Toolbox | None) -> bool:
        """Whether this is the catalog of these very objects."""
        return self.snapshot is snapshot and self.toolbox is toolbox

    def matching(self, name: str) -> tuple[Tool, ...]:
        """Return the tools of a name: the tool with that wire name, else those with that own name.

        Tools of several namespaces may share a name. A tool that was given under it then stands for
        all of them, and needs the permissions of all. Those that the toolbox runs are excluded:
        they have names of their own.
        """
        tool = self._by_wire_name.get(name)
        if tool:
            return (tool,)
        return tuple(t for t in self._by_name.get(name, ()) if t.id not in self.in_toolbox)

    def entry(self, name: str, agent_tool: BaseTool | None) -> CatalogEntry | None:
        """Return what the agent can run under a name, if it is in the index.

        Args:
            name: The name by which the model calls it.
            agent_tool: The tool of that name that the agent was given, if any.
        """
        if agent_tool is not None:
            tools = self.matching(name)
            return CatalogEntry(name, tools, agent_tool) if tools else None
        tool = self._by_wire_name.get(name)
        return CatalogEntry(name, (tool,)) if tool and tool.id in self.in_toolbox else None

    def runnable(self, entry: CatalogEntry) -> BaseTool:
        """Return the tool that runs an entry."""
        if entry.agent_tool is not None:
            return entry.agent_tool
        assert self.toolbox is not None  # noqa: S101 - an entry that was not given is from it
        return langchain_tools(entry.tools, self.toolbox)[0]


class Available:
    """The tools that one agent can run: those it was given, and those of the toolbox.

    Args:
        catalog: The catalog.
        agent_tools: The tools that the agent was given.

    Attributes:
        fixed: The agent's tools that the index does not hold.
        ids: Ids of the tools that can be run; None if that is the whole index.
        shown_tools: Tools in the form that a model is shown, by name, the steps that shortened
            them, and what they say: a cache, since a thread shows the same ones in every call.
    """

    def __init__(self, catalog: AgentCatalog, agent_tools: Sequence[BaseTool]) -> None:
        self.catalog = catalog
        self.agent_tools = list(agent_tools)
        self.fixed: list[BaseTool] = []
        self.shown_tools: Recent[Hashable, BaseTool] = Recent(_CACHED_TOOLS)
        self._entries: dict[str, CatalogEntry] = {}
        self._names: dict[str, str] = {}
        for tool in agent_tools:
            entry = catalog.entry(tool.name, tool)
            if entry is None:
                self.fixed.append(tool)
                continue
            self._entries[entry.name] = entry
            for index_tool in entry.tools:
                self._names.setdefault(index_tool.id, entry.name)
        ids = self._names.keys() | catalog.in_toolbox
        self.ids = None if len(ids) == len(catalog.tools) else frozenset(ids)

    def is_for(self, agent_tools: Sequence[BaseTool]) -> bool:
        """Whether it is of these very objects: tools may hold what cannot be compared."""
        return [*map(id, agent_tools)] == [*map(id, self.agent_tools)]

    @property
    def names(self) -> list[str]:
        """Names of all tools that can be run: the agent's in their order, then the toolbox's."""
        rest = sorted(self.catalog.in_toolbox - self._names.keys())
        return [*self._entries, *map(wire_name, rest)]

    @property
    def fixed_names(self) -> list[str]:
        """The names of the tools in ``fixed``."""
        return [tool.name for tool in self.fixed]

    def __len__(self) -> int:
        """How many tools of the index can be run."""
        return len(self.catalog.tools if self.ids is None else self.ids)

    def can_run(self, tool: Tool) -> bool:
        """Whether a tool of the index can be run."""
        return self.ids is None or tool.id in self.ids

    def entry(self, name: str) -> CatalogEntry | None:
        """Return what can be run under a name."""
        return self._entries.get(name) or self.catalog.entry(name, None)

    def may_call(self, name: str, allow: Allow) -> bool:
        """Whether a caller may use what was offered under a name, perhaps by other middleware."""
        entry = self.entry(name)
        tools = entry.tools if entry else self.catalog.matching(name)
        return bool(tools) and all(is_allowed(tool, allow) for tool in tools)

    def name_of(self, tool_id: str) -> str:
        """Return the name by which the model calls a tool of the index."""
        return self._names.get(tool_id) or wire_name(tool_id)
