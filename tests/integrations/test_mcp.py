"""Real servers, started as processes: over stdio, and over streamable HTTP on this machine."""

from __future__ import annotations

import asyncio
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import stdio_client

from tests.conftest import ids_of, tool
from tests.http_servers import free_port, is_listening
from tests.waiting import until
from toolret.calling import Toolbox, ToolResult
from toolret.catalogs import load_tools
from toolret.errors import CallError, CatalogError
from toolret.index import ToolIndex
from toolret.integrations import mcp
from toolret.integrations.event_loops import run_in_loop
from toolret.integrations.mcp import (
    McpServers,
    Server,
    StdioServerParameters,
    load_mcp_tools,
)
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
from toolret.types import Tool

HERE = Path(__file__).parent
NAMES = ["read_file", "delete_file", "picture", "mount"]


def _program(file: str, *arguments: str) -> StdioServerParameters:
    return StdioServerParameters(command=sys.executable, args=[str(HERE / file), *arguments])


STDIO = _program("mcp_server.py", "stdio")


@contextmanager
def _http_server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(HERE / "mcp_server.py"), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert until(lambda: is_listening(port))
            yield process
        finally:
            process.kill()


@pytest.fixture
def http() -> Iterator[str]:
    port = free_port()
    with _http_server(port):
        yield f"http://127.0.0.1:{port}/mcp"


async def test_several_servers_keep_to_their_namespaces(http: str) -> None:
    async with McpServers({"web": http, "disk": STDIO}) as servers:
        tools = await servers.tools()
    assert ids_of(tools) == [f"{space}.{name}" for space in ("web", "disk") for name in NAMES]
    assert tools[1] == Tool(
        "web.delete_file",
        "delete_file",
        namespace="web",
        description="Remove a file for good.",
        parameters={
            "type": "object",
            "title": "delete_fileArguments",
            "properties": {"path": {"title": "Path", "type": "string"}},
            "required": ["path"],
        },
        tags=("destructive", "idempotent"),
        metadata={
            "outputSchema": {
                "type": "object",
                "title": "delete_fileDictOutput",
                "additionalProperties": {"type": "string"},
            },
            "annotations": {"destructiveHint": True, "idempotentHint": True},
            "mcp_server": "web",
        },
    )
    assert tools[0].tags == ("read-only",)
    assert tools[1].origin == "<MCP server 'web'>: delete_file"


async def test_a_server_may_have_no_namespace() -> None:
    async with McpServers({"": STDIO}) as servers:
        tools = await servers.tools()
        outcome = await Toolbox(tools, servers).acall("read_file", {"path": "notes.txt"})
    assert ids_of(tools) == list(NAMES)
    assert outcome.text == "contents of notes.txt"


@pytest.mark.parametrize("namespace", ["", "git"])
async def test_no_server_has_a_tool_in_the_namespace_of_another(
    namespace: str, tmp_path: Path
) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        "import sys\nfrom mcp.server.mcpserver import MCPServer\n"
        "server, who = MCPServer('s'), sys.argv[1]\n"
        "for name in sys.argv[2:]:\n    server.tool(name)(lambda: who)\n"
        "server.run('stdio')\n"
    )
    there = f"{namespace}.hub.push".strip(".")
    listed = there.removeprefix(f"{namespace}.")
    claims = StdioServerParameters(
        command=sys.executable, args=[str(script), "another", listed, "pull"]
    )
    owner = StdioServerParameters(command=sys.executable, args=[str(script), "owner", "push"])
    hub = there.removesuffix(".push")
    async with McpServers({hub: owner, namespace: claims}) as servers:
        tools = await servers.tools()
        assert ids_of(tools) == [there, f"{namespace}.pull".strip(".")]
        assert (await Toolbox(tools, servers).acall(there, {})).text == "owner"
        claimed = Tool(there, listed, namespace, metadata={"mcp_server": namespace})
        assert not servers.runs(claimed)


def test_tools_are_read_once_without_an_event_loop() -> None:
    tools = load_mcp_tools({"disk": STDIO})
    assert ids_of(tools) == [f"disk.{name}" for name in NAMES]
    listed = [
        {"name": t.name, "description": t.description, "inputSchema": t.parameters} for t in tools
    ]
    dump = load_tools({"tools": listed}, namespace="disk")
    assert [(t.id, t.parameters) for t in dump] == [(t.id, t.parameters) for t in tools]


async def test_and_within_one() -> None:
    assert len(load_mcp_tools({"disk": STDIO})) == len(NAMES)


@pytest.mark.parametrize("kind", ["stdio", "http"])
async def test_calls_reach_their_server(kind: str, http: str) -> None:
    server: Server = STDIO if kind == "stdio" else http
    async with McpServers({"a": server}) as servers:
        toolbox = Toolbox([*await servers.tools(), tool("other")], servers)
        read = await toolbox.acall("a__read_file", {"path": "x"})
        assert read == ToolResult("contents of x", {"result": "contents of x"})
        deleted = await toolbox.acall("a.delete_file", {"path": "x"})
        assert json.loads(deleted.text) == deleted.value == {"deleted": "x"}
        drawn = await toolbox.acall("a.picture", {})
        assert drawn.text == "a dot\n(image, image/png)"
        assert drawn.value == [
            {"type": "text", "text": "a dot"},
            {"type": "image", "data": "iVBORw==", "mimeType": "image/png"},
        ]
        refused = await toolbox.acall("a.delete_file", {"path": "/"})
        assert (refused.ok, refused.text) == (False, "Error executing tool delete_file")
        wrong = await toolbox.acall("a.read_file", {})
        assert not wrong.ok
        assert "path" in wrong.text
        assert "cannot be run" in (await toolbox.acall("other", {})).text


async def test_odd_answers_are_told_as_they_are() -> None:
    async with McpServers({"o": _program("old_mcp_server.py", "odd")}) as servers:
        toolbox = Toolbox(await servers.tools(), servers)
        told = {tool.name: await toolbox.acall(tool.id, {}) for tool in toolbox}
        assert {name: outcome.text for name, outcome in told.items()} == {
            "empty": "",
            "blank": "",
            "structured": '{"balance": 42}',
            "silent": "Error: the tool failed and said nothing",
            "astray": "done",
            "refuse": "Error: the MCP server 'o' refuses: Method not found",
        }
        failed = [name for name, outcome in told.items() if not outcome.ok]
        assert failed == ["silent", "refuse"]


async def test_of_a_long_answer_a_model_is_told_the_beginning() -> None:
    async with McpServers({"a": STDIO}) as servers:
        toolbox = Toolbox(await servers.tools(), servers)
        read = await toolbox.acall("a.read_file", {"path": "ü" * 600_000})
    begin, _, end = read.text.partition("\n")
    assert begin == "contents of " + "ü" * 499_994
    assert end == "(cut: the result is longer than 1,000,000 bytes)"
    assert read.ok
    assert len(read.value["result"]) > 600_000


@pytest.mark.parametrize("value", ["\ud83d half", float("nan"), {1, 2}])
async def test_what_cannot_be_sent_leaves_the_connection_alone(value: Any) -> None:
    async with McpServers({"a": STDIO}) as servers:
        toolbox = Toolbox(await servers.tools(), servers)
        refused = await toolbox.acall("a.read_file", {"path": value})
        assert refused.text.startswith("Error: 'a.read_file': the arguments cannot be sent: ")
        assert (await toolbox.acall("a.read_file", {"path": "x"})).text == "contents of x"


def test_servers_may_be_named_before_there_is_an_event_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    servers = McpServers({"a": STDIO})

    async def count() -> int:
        async with servers:
            with pytest.raises(RuntimeError, match="connected already"):
                await servers.__aenter__()
            return len(await servers.tools())

    for _ in range(2):
        assert asyncio.run(count()) == len(NAMES)
    assert "was lost" not in caplog.text


async def test_calls_from_other_threads() -> None:
    async with McpServers({"a": STDIO}) as servers:
        toolbox = Toolbox(await servers.tools(), servers)
        outcome = await asyncio.to_thread(toolbox.call, "a.read_file", {"path": "x"})
        assert outcome.text == "contents of x"
        assert toolbox.call("a.read_file", {"path": "x"}).text == (
            "Error: MCP tools are called in an event loop: use acall"
        )


@contextmanager
def _elsewhere() -> Iterator[tuple[McpServers, Toolbox, Any]]:
    """Servers that live in the event loop of another thread."""
    servers = McpServers({"a": STDIO})
    there: queue.Queue[Any] = queue.Queue()

    async def live() -> None:
        done = asyncio.Event()
        async with servers:
            there.put((Toolbox(await servers.tools(), servers), asyncio.get_running_loop(), done))
            await done.wait()

    with ThreadPoolExecutor(max_workers=1) as pool:
        living = pool.submit(asyncio.run, live())
        toolbox, loop, done = there.get(timeout=60)
        try:
            yield servers, toolbox, loop
        finally:
            loop.call_soon_threadsafe(done.set)
            living.result()


async def test_calls_from_another_event_loop() -> None:
    with _elsewhere() as (_, toolbox, _):
        outcomes = [toolbox.acall("a.read_file", {"path": str(i)}) for i in range(3)]
        told = [outcome.text for outcome in await asyncio.gather(*outcomes)]
        assert told == [f"contents of {i}" for i in range(3)]
        refused = await toolbox.acall("a.delete_file", {"path": "/"})
        assert refused.text == "Error executing tool delete_file"
        given_up = asyncio.create_task(toolbox.acall("a.read_file", {"path": "x"}))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_does_not_wait_for_ever_for_a_loop_that_is_blocked(
    asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an agent is invoked, not awaited, in the loop that its servers live in."""
    monkeypatch.setattr(mcp, "_MARGIN", 0.0)
    with _elsewhere() as (servers, toolbox, loop):
        monkeypatch.setattr(servers, "_timeout", 0.2)
        go_on = threading.Event()
        loop.call_soon_threadsafe(go_on.wait)
        try:
            if asynchronous:
                outcome = asyncio.run(toolbox.acall("a.mount", {"disk": "b"}))
            else:
                outcome = toolbox.call("a.mount", {"disk": "b"})
        finally:
            go_on.set()
        assert outcome.text == (
            "Error: the tool was not called: its event loop is blocked: call tools with acall, "
            "and run agents with ainvoke, in that loop"
        )
        # What the model was told stays true when the loop goes on.
        listed = asyncio.run_coroutine_threadsafe(servers.tools(), loop).result()
        assert [tool.name for tool in listed] == NAMES


def test_a_call_that_is_cut_off_is_said_to_have_no_answer() -> None:
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(60)

    async def stand_still() -> str:
        with pytest.raises(CallError, match="no answer came: the event loop of the tool is block"):
            await asyncio.to_thread(run_in_loop, work, asyncio.get_running_loop(), 1.0)
        assert begun.is_set()
        return "went on"

    assert asyncio.run(stand_still()) == "went on"


def test_a_call_of_servers_that_are_not_connected_says_so() -> None:
    servers = McpServers({"a": STDIO})
    disk = Tool("a.read_file", "read_file", metadata={"mcp_server": "a"})
    toolbox = Toolbox([disk], servers)
    said = "Error: the MCP servers are not connected: call tools within `async with`"

    async def connect() -> None:
        async with servers:
            pass

    for _ in range(2):  # before, and after
        assert toolbox.call("a.read_file", {}).text == said
        assert asyncio.run(toolbox.acall("a.read_file", {})).text == said
        asyncio.run(connect())


@pytest.mark.parametrize("closed", [False, True])
def test_a_call_in_a_loop_that_stands_still_is_refused_at_once(closed: bool) -> None:
    async def work() -> None:
        raise AssertionError("it is not run")

    loop = asyncio.new_event_loop()
    if closed:
        loop.close()
    with pytest.raises(CallError, match="not called: its event loop is not running: call tools"):
        run_in_loop(work, loop, 60)
    loop.close()


@asynccontextmanager
async def _watched(servers: McpServers) -> AsyncIterator[Any]:
    lists: asyncio.Queue[list[Tool]] = asyncio.Queue()

    async def watch() -> None:
        async for tools in servers.watch():
            await lists.put(tools)

    task = asyncio.create_task(watch())
    try:
        yield lambda: asyncio.wait_for(lists.get(), 60)
    finally:
        task.cancel()


@pytest.mark.parametrize("kind", ["stdio", "http"])
async def test_a_changed_list_leads_to_a_new_sync(kind: str, http: str, tmp_path: Path) -> None:
    server: Server = STDIO if kind == "stdio" else http
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    retriever = ToolRetriever(index)
    async with McpServers({"a": server}) as servers, _watched(servers) as next_list:
        assert index.sync_tools(await next_list()).added == len(NAMES)
        toolbox = Toolbox(index, servers)
        await toolbox.acall("a.mount", {"disk": "backup"})
        report = index.sync_tools(await next_list())
        assert (report.added, report.removed, report.kept) == (1, 0, len(NAMES))
        hits = retriever.search("read a file of the backup disk", k=1, keep_all=True)
        assert hits[0].tool.id == "a.read_backup"
        # A tool that comes out of the index runs all the same.
        outcome = await Toolbox(index, servers).acall("a__read_backup", {"path": "x"})
        assert outcome.text == "backup: x"


async def test_a_server_of_the_older_protocol() -> None:
    old = McpServers({"old": _program("old_mcp_server.py")})
    async with old as servers, _watched(servers) as next_list:
        tools = await next_list()
        assert ids_of(tools) == ["old.first", "old.second"]
        assert (await servers.acall(tools[0], {})).text == "done"
        assert ids_of(await next_list()) == ["old.first", "old.second", "old.tool2"]


async def test_a_lost_process_is_started_again() -> None:
    async with McpServers({"old": _program("old_mcp_server.py")}) as servers:
        first, second = await servers.tools()
        await servers.acall(first, {})
        with pytest.raises(CallError, match="the MCP server 'old' does not answer"):
            await servers.acall(second, {})
        # What it had before, until it is there again as it is at its start.
        assert len(await servers.tools()) == 2
        await _until(servers, first, "done")


async def test_a_transport_of_ones_own_is_made_for_each_connection() -> None:
    made = []

    def make() -> Any:
        made.append(
            stdio_client(_program("old_mcp_server.py"), errlog=sys.__stderr__ or sys.stderr)
        )
        return made[-1]

    async with McpServers({"old": make}) as servers:
        first, second = await servers.tools()
        with pytest.raises(CallError):
            await servers.acall(second, {})
        await _until(servers, first, "done")
    assert len(made) == 2


async def test_a_lost_http_server_is_found_again() -> None:
    port = free_port()
    web = McpServers({"web": f"http://127.0.0.1:{port}/mcp"})
    with _http_server(port) as process:
        async with web as servers, _watched(servers) as next_list:
            tools = await next_list()
            process.kill()
            process.wait()
            with pytest.raises(CallError, match="the MCP server 'web'"):
                await servers.acall(tools[0], {"path": "x"})
            assert ids_of(await servers.tools()) == ids_of(tools)
            with _http_server(port):
                await _until(servers, tools[0], "contents of x")


async def _until(servers: McpServers, tool: Tool, text: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            outcome = await servers.acall(tool, {"path": "x"})
        except CallError:
            await asyncio.sleep(0.1)
        else:
            assert outcome.text == text
            return
    raise AssertionError("the server did not come back")


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ("http://127.0.0.1:9/mcp", "does not answer: ConnectError: All connection attempts failed"),
        ("nonsense", "does not answer: UnsupportedProtocol"),
        (StdioServerParameters(command="no-such-program"), "does not answer: FileNotFoundError"),
        (StdioServerParameters(command=sys.executable, args=["-c", ""]), "Connection closed"),
        (_program("old_mcp_server.py", "endless"), "goes on listing tools without an end"),
        (_program("old_mcp_server.py", "twins"), "the id 'bad.first' already stands for"),
        (_program("old_mcp_server.py", "broken"), "does not answer: ValidationError"),
    ],
)
def test_a_bad_server_is_an_error_that_names_it(server: Server, problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_mcp_tools({"good": STDIO, "bad": server}, timeout=20)
    assert problem in str(caught.value)
    assert "bad" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_given_up() -> None:
    silent = StdioServerParameters(
        command=sys.executable, args=["-c", "import time; time.sleep(60)"]
    )
    started = time.monotonic()
    with pytest.raises(CatalogError, match="the MCP server 'silent' does not answer: "):
        load_mcp_tools({"silent": silent}, timeout=1)
    assert time.monotonic() - started < 20


async def test_what_is_raised_within_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with McpServers({"a": STDIO}):
            raise KeyError("mine")


def test_without_the_extra_the_error_names_it() -> None:
    code = (
        "import sys; sys.modules['mcp'] = None\n"
        "from toolret import MissingExtraError\n"
        "try: import toolret.integrations.mcp\n"
        "except MissingExtraError as error: print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout == "MCP servers need the extra: pip install 'toolret[mcp]'\n"
