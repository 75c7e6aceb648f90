"""MCP servers, read and called live with the official ``mcp`` client."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeAlias

from toolret.calling import ToolResult
from toolret.catalogs import Document
from toolret.catalogs.claims import namespace_of
from toolret.catalogs.mcp_tools import McpTools
from toolret.errors import CallError, CatalogError, MissingExtraError
from toolret.integrations.event_loops import arun_in_loop, current_loop, run_in_loop
from toolret.integrations.mcp_results import tool_result
from toolret.options import of_kind, seconds
from toolret.rows import unique
from toolret.types import JsonObject, Tool

try:
    import anyio
    from anyio.abc import TaskGroup, TaskStatus
    from mcp import Client, MCPError, StdioServerParameters, stdio_client
    from mcp.client import IncomingMessage, Transport
    from mcp.client.subscriptions import SubscriptionLost
    from mcp.types import (
        CONNECTION_CLOSED,
        REQUEST_TIMEOUT,
        CallToolResult,
        ToolListChangedNotification,
    )
    from mcp.types.version import MODERN_PROTOCOL_VERSIONS
    from pydantic import ValidationError
except ImportError as exc:
    raise MissingExtraError("MCP servers need the extra: pip install 'toolret[mcp]'") from exc

__all__ = ["McpServers", "Server", "StdioServerParameters", "load_mcp_tools"]

Server: TypeAlias = str | StdioServerParameters | Callable[[], Transport]
"""A URL for streamable HTTP, a program to start, or a function that makes a transport of the
``mcp`` package, called for each connection."""

_log = logging.getLogger(__name__)

_FAULTS = (ExceptionGroup, MCPError, OSError, SubscriptionLost, ValidationError)
"""Errors that the client raises when a server is gone, silent, or sends nonsense."""

_MAX_PAGES = 1_000
"""Number of pages after which a server's list of tools is taken for endless."""

_MAX_REASON = 200
"""How many characters of a foreign error's message are passed on."""

_MARGIN = 5.0
"""Seconds that a call from another thread waits beyond the server's own time."""

_FIRST_PAUSE = 0.1
"""Seconds until a lost server is tried again for the first time; doubled each time after."""

_LONGEST_PAUSE = 60.0
"""Seconds up to which the pauses grow; a connection that lasted longer starts with the first."""


class McpServers:
    """Several MCP servers, each under its own namespace; an asynchronous context manager.

    Lost servers are reconnected. It is also a ``Runner``: give it to a ``Toolbox`` to call the
    servers' tools.

    Args:
        servers: Servers, by the namespaces for their tools.
        timeout: Seconds that a server may take to answer.

    Raises:
        CatalogError: On entering, if a server cannot be reached.
        InputError: If ``timeout`` is not above 0.
    """

    def __init__(self, servers: Mapping[str, Server], *, timeout: float = 60.0) -> None:
        of_kind("servers", servers, Mapping, "a dict of servers by their namespaces")
        self._servers = dict(servers)
        self._timeout = seconds("timeout", timeout)
        self._clients: dict[str, Client] = {}
        self._lists: dict[str, list[Tool]] = {}
        self._news = asyncio.Event()
        self._lost: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise RuntimeError("these McpServers are connected already")
        self._loop = asyncio.get_running_loop()
        self._lost = {name: asyncio.Event() for name in self._servers}
        self._tasks = tasks = await anyio.create_task_group().__aenter__()
        try:
            for name in self._servers:
                with _translate_faults(name, CatalogError), anyio.fail_after(self._timeout):
                    await tasks.start(self._keep_connected, name)
        except BaseException:
            await self._disconnect()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._disconnect()

    async def tools(self) -> list[Tool]:
        """Ask all servers for their current tools.

        A server that does not answer keeps the tools that it had before.

        Raises:
            CatalogError: If a server has never answered, or has two tools of one name.
        """
        for name in self._servers:
            try:
                self._lists[name] = await self._read(name)
            except CatalogError as error:
                if name not in self._lists:
                    raise
                _log.warning("%s; its tools are kept as they were", error)
        return [tool for name in self._servers for tool in self._lists[name]]

    async def watch(self) -> AsyncIterator[list[Tool]]:
        """Yield the tools now, and again whenever they change and a server says so.

        Raises what ``tools`` does, the first time.
        """
        before: list[Tool] | None = None
        while True:
            news = self._news
            tools = await self.tools()
            if tools != before:
                before = tools
                yield tools
            await news.wait()

    def runs(self, tool: Tool) -> bool:
        """Whether the tool was read from one of the servers.

        Its id must say so too: a tool from elsewhere that claims to be a server's could otherwise
        reach more than the name under which it was allowed.
        """
        server = tool.metadata.get("mcp_server")
        id_ = f"{server}.{tool.name}" if server else tool.name
        owner = namespace_of(id_, self._servers)
        return owner is not None and server == owner and tool.id == id_

    def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        """``acall`` from a thread other than that of the servers' event loop.

        Raises:
            CallError: If it is the same thread, if that loop is blocked, or as in ``acall``.
        """
        loop = self._connected_in()
        if loop is current_loop():
            raise CallError("MCP tools are called in an event loop: use acall")
        return run_in_loop(lambda: self._call(tool, arguments), loop, self._timeout + _MARGIN)

    async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        """Call a tool of a server, from any event loop.

        Raises:
            CallError: If the servers are not connected, the tool's server cannot be reached, or it
                refuses the call.
        """
        loop = self._connected_in()
        if loop is current_loop():
            return await self._call(tool, arguments)
        return await arun_in_loop(
            lambda: self._call(tool, arguments), loop, self._timeout + _MARGIN
        )

    def _connected_in(self) -> asyncio.AbstractEventLoop:
        """Return the loop in which the servers are connected; their clients work in no other."""
        if self._loop is None:
            raise CallError("the MCP servers are not connected: call tools within `async with`")
        return self._loop

    async def _call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        name = tool.metadata["mcp_server"]
        try:  # failing to write them would cost the connection
            json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
        except (RecursionError, TypeError, ValueError) as exc:
            raise CallError(f"{tool.id!r}: the arguments cannot be sent: {exc}") from exc
        with self._use(name, CallError):
            result = await self._clients[name].call_tool(tool.name, dict(arguments))
        return tool_result(result)

    async def _keep_connected(
        self, name: str, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep a server connected until this task is cancelled."""
        pause, is_new = _FIRST_PAUSE, True
        while True:
            since = time.monotonic()
            try:
                client = Client(
                    _transport(self._servers[name]),
                    read_timeout_seconds=self._timeout,
                    message_handler=self._handle_message,
                )
                async with client:
                    # The client would raise for an invalid answer. But the tool has run.
                    client.session.validate_tool_result = _accept_any_result  # type: ignore[method-assign]
                    self._clients[name] = client
                    self._lost[name].clear()
                    self._announce()
                    if is_new:
                        task_status.started()
                    is_new = False
                    await self._until_lost(client, self._lost[name])
            except Exception as error:
                # Raised here, any error would cancel what the caller is doing meanwhile.
                if is_new:
                    raise
                _log.warning("the MCP server %r was lost: %s", name, _reason(error))
            self._clients.pop(name, None)
            pause = _next_pause(pause, since)
            await anyio.sleep(pause)

    async def _until_lost(self, client: Client, lost: asyncio.Event) -> None:
        """Wait until a connection is lost, and meanwhile listen for changes of the tools."""
        async with anyio.create_task_group() as tasks:
            tools = client.server_capabilities.tools
            if tools and tools.list_changed and _is_modern(client):
                tasks.start_soon(self._listen, client)
            await lost.wait()
            tasks.cancel_scope.cancel()

    async def _listen(self, client: Client) -> None:
        """Subscribe to changes; servers and proxies end such streams whenever they like."""
        pause = _FIRST_PAUSE
        while True:
            since = time.monotonic()
            try:
                async with client.listen(tools_list_changed=True) as events:
                    self._announce()  # for what changed while nobody listened
                    async for _ in events:
                        self._announce()
            except SubscriptionLost as error:
                _log.debug("listening again: %s", error)
            pause = _next_pause(pause, since)
            await anyio.sleep(pause)

    async def _handle_message(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._announce()

    def _announce(self) -> None:
        """Wake all who wait for news, and make a new event to wait for the next."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _read(self, name: str) -> list[Tool]:
        """Ask a server for its current tools."""
        source = McpTools()
        tools: list[Tool] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            with self._use(name, CatalogError):
                page = await self._clients[name].list_tools(cursor=cursor, cache_mode="refresh")
            for listed_tool in page.tools:
                content = listed_tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                document = Document(content, f"<MCP server {name!r}>", at=listed_tool.name)
                tools += source.tools(document, namespace=name)
            cursor = page.next_cursor
            if cursor is None:
                marked = [replace(t, metadata={**t.metadata, "mcp_server": name}) for t in tools]
                # A server may list a name that is in another server's namespace.
                own = [tool for tool in marked if namespace_of(tool.id, self._servers) == name]
                return unique(own, error=CatalogError)
        raise CatalogError(f"the MCP server {name!r} goes on listing tools without an end")

    @contextmanager
    def _use(self, name: str, error: type[CallError | CatalogError]) -> Iterator[None]:
        """Use a server's connection; if it is lost meanwhile, trigger a reconnect."""
        if name not in self._clients:
            raise error(f"the MCP server {name!r} is not connected now")
        try:
            with _translate_faults(name, error):
                yield
        except error as fault:
            if _is_loss(fault.__cause__):
                self._lost[name].set()
            raise

    async def _disconnect(self) -> None:
        """End all tasks. Errors of the block are raised as they are, not in a group."""
        self._loop = None
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)
        self._clients.clear()


def load_mcp_tools(servers: Mapping[str, Server], *, timeout: float = 60.0) -> list[Tool]:
    """Read the tools of MCP servers once.

    Args:
        servers: Servers, by the namespaces for their tools.
        timeout: Seconds that a server may take to answer.

    Raises:
        CatalogError: If a server cannot be reached, or has two tools of one name.
    """

    async def read() -> list[Tool]:
        async with McpServers(servers, timeout=timeout) as connected:
            return await connected.tools()

    # In its own thread, so that it works under a running event loop too, as in a notebook.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, read()).result()


def _transport(server: Server) -> str | Transport:
    """Return a server's transport; a program's stderr goes to the terminal in any case."""
    if isinstance(server, str):
        return server
    if not isinstance(server, StdioServerParameters):
        return server()
    log = sys.stderr
    try:
        log.fileno()
    except (AttributeError, OSError):  # as in a notebook
        log = sys.__stderr__ or log
    return stdio_client(server, errlog=log)


async def _accept_any_result(name: str, result: CallToolResult) -> None:
    """Accept any result of a tool."""


def _is_loss(error: BaseException | None) -> bool:
    """Whether the connection is lost; a refused or slow call does not mean that."""
    if isinstance(error, MCPError):
        return error.code == CONNECTION_CLOSED or "terminated" in str(error)
    return not isinstance(error, TimeoutError | ValidationError)


def _next_pause(pause: float, since: float) -> float:
    """Double the last pause; start again with the first after a connection that lasted."""
    lasted = time.monotonic() - since
    return _FIRST_PAUSE if lasted > _LONGEST_PAUSE else min(2 * pause, _LONGEST_PAUSE)


def _is_modern(client: Client) -> bool:
    """Whether changes have to be subscribed to, as from protocol version 2026-07-28 on."""
    return client.protocol_version in MODERN_PROTOCOL_VERSIONS


@contextmanager
def _translate_faults(name: str, error: type[CallError | CatalogError]) -> Iterator[None]:
    """Raise a fault of a server as an error of this package that names the server."""
    try:
        yield
    except _FAULTS as exc:
        is_answer = isinstance(exc, MCPError) and exc.code != REQUEST_TIMEOUT and not _is_loss(exc)
        what = "refuses" if is_answer else "does not answer"
        raise error(f"the MCP server {name!r} {what}: {_reason(exc)}") from exc


def _reason(error: BaseException) -> str:
    """Return the message of an error, or of the first in a group, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(error).split())[:_MAX_REASON]
    is_from_server = isinstance(error, MCPError) and text
    return text if is_from_server else f"{type(error).__name__}: {text}".rstrip(": ")
