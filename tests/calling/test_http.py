"""What servers do, well and badly."""

from __future__ import annotations

import gzip
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.calling.operations import operation, parameter
from tests.http_servers import free_port, serving, silent_server
from toolret.calling import HttpRunner, SecurityScheme, Toolbox, ToolResult
from toolret.errors import CallError, InputError
from toolret.types import Tool

REPLIES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/v1/json": (200, {"Content-Type": "application/json"}, b'{"a": [1]}'),
    "/v1/problem": (409, {"Content-Type": "application/problem+json"}, b'{"title": "late"}'),
    "/v1/text": (200, {"Content-Type": "text/plain; charset=latin-1"}, b"caf\xe9"),
    "/v1/odd-charset": (200, {"Content-Type": "text/plain; charset=none-such"}, b"ok"),
    "/v1/no-charset": (200, {"Content-Type": "text/plain; charset=hex"}, b"ok"),
    "/v1/old-json": (200, {"Content-Type": "application/json;charset=latin-1"}, b'["caf\xe9"]'),
    "/v1/marked-json": (200, {"Content-Type": "application/json"}, b'\xef\xbb\xbf["caf\xc3\xa9"]'),
    "/v1/misdeclared": (200, {"Content-Type": "text/json;charset=latin-1"}, b'["caf\xc3\xa9"]'),
    "/v1/half": (200, {"Content-Type": "application/json"}, b'"\\ud83d half"'),
    "/v1/unnamed": (200, {}, b"\xff words"),
    "/v1/image": (200, {"Content-Type": "image/png"}, b"\x89PNG\0"),
    "/v1/empty": (204, {}, b""),
    "/v1/broken": (200, {"Content-Type": "application/json"}, b'{"a": '),
    "/v1/deep": (200, {"Content-Type": "application/json"}, b"[" * 100_000),
    "/v1/moved": (302, {"Location": "https://elsewhere.example/"}, b""),
    "/v1/choices": (300, {"Content-Type": "text/plain"}, b"one or the other"),
    "/v1/unmodified": (304, {}, b""),
    "/v1/down": (503, {"Content-Type": "text/html"}, b"<h1>down</h1>"),
    "/v1/busy": (429, {"Retry-After": "17"}, b""),
    "/v1/packed": (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 5_000_000)),
    "/v1/misnamed": (200, {"Content-Encoding": "gzip"}, b"no gzip"),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/v1/events":
            self._never_end()
            return
        path, _, query = self.path.partition("?")
        if path == "/v1/echo":
            lines = [f"Query: {query}"] + [
                f"{name}: {value}" for name, value in self.headers.items()
            ]
            reply = (200, {"Content-Type": "text/plain"}, "\n".join(lines).encode("latin-1"))
        else:
            reply = REPLIES[path]
        status, headers, body = reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _never_end(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with suppress(ConnectionError):
            while True:
                self.wfile.write(b"data: 1\n\n")
                time.sleep(0.01)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(self.headers["Content-Type"].encode() + b"\n" + body)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(_Handler) as url:
        yield url


async def _both(runner: HttpRunner, tool: Tool, **arguments: Any) -> ToolResult:
    """The outcome, which is the same in an event loop."""
    outcome = runner.call(tool, arguments)
    assert await runner.acall(tool, arguments) == outcome
    return outcome


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("json", ToolResult('{"a": [1]}', {"a": [1]}, status=200)),
        (
            "problem",
            ToolResult(
                'HTTP 409 Conflict: {"title": "late"}', {"title": "late"}, ok=False, status=409
            ),
        ),
        ("text", ToolResult("café", "café", status=200)),
        ("old-json", ToolResult('["café"]', ["café"], status=200)),
        ("marked-json", ToolResult('["café"]', ["café"], status=200)),
        ("misdeclared", ToolResult('["café"]', ["café"], status=200)),
        ("odd-charset", ToolResult("ok", "ok", status=200)),
        ("no-charset", ToolResult("ok", "ok", status=200)),
        ("unnamed", ToolResult("\ufffd words", "\ufffd words", status=200)),
        ("image", ToolResult("(image/png, 5 bytes)", b"\x89PNG\0", status=200)),
        ("empty", ToolResult("HTTP 204 No Content", status=204)),
        ("broken", ToolResult('{"a": ', '{"a": ', status=200)),
        ("deep", ToolResult("[" * 100_000, "[" * 100_000, status=200)),
        (
            "moved",
            ToolResult(
                "HTTP 302 Found, which leads to https://elsewhere.example/ "
                "(redirects are not followed)",
                ok=False,
                status=302,
            ),
        ),
        (
            "choices",
            ToolResult(
                "HTTP 300 Multiple Choices (redirects are not followed): one or the other",
                "one or the other",
                ok=False,
                status=300,
            ),
        ),
        ("unmodified", ToolResult("HTTP 304 Not Modified", status=304)),
        (
            "down",
            ToolResult(
                "HTTP 503 Service Unavailable: <h1>down</h1>",
                "<h1>down</h1>",
                ok=False,
                status=503,
            ),
        ),
        (
            "busy",
            ToolResult("HTTP 429 Too Many Requests (Retry-After: 17)", ok=False, status=429),
        ),
    ],
)
async def test_responses(server: str, path: str, outcome: ToolResult) -> None:
    tool = operation(method="get", path=f"/{path}")
    assert await _both(HttpRunner(base_url=server), tool) == outcome


async def test_no_redirect_is_followed_whatever_the_client_does(server: str) -> None:
    tool = operation(method="get", path="/moved")
    with httpx.Client(follow_redirects=True) as client:
        async with httpx.AsyncClient(follow_redirects=True) as async_client:
            runner = HttpRunner(base_url=server, client=client, async_client=async_client)
            outcome = await _both(runner, tool)
    assert not outcome.ok
    assert outcome.text.startswith("HTTP 302 Found, which leads to https://elsewhere.example/")


async def test_where_a_redirect_leads_is_told_without_the_secrets_that_were_sent() -> None:
    def moved(request: httpx.Request) -> httpx.Response:
        asked = quote(str(request.url), safe="")
        leads_to = f"{request.url.copy_with(scheme='https')}&next={asked}&lang=de"
        return httpx.Response(301, headers={"Location": leads_to})

    key = {"type": "apiKey", "in": "query", "name": "key"}
    tool = operation(parameter("q", "query"), method="get")
    tool = replace(tool, metadata={**tool.metadata, "security": [{"k": key}]})
    sends = httpx.MockTransport(moved)
    with httpx.Client(transport=sends, params={"team": "own/secret"}) as client:
        async with httpx.AsyncClient(transport=sends, params={"team": "own/secret"}) as other:
            runner = HttpRunner(
                credentials=lambda scheme: "a key & more",
                base_url="http://t.example",
                client=client,
                async_client=other,
            )
            outcome = await _both(runner, tool, q="tents")
    assert outcome.text == (
        "HTTP 301 Moved Permanently, which leads to https://t.example/v1/items"
        "?team=...&q=tents&key=...&next=...&lang=de (redirects are not followed)"
    )


@pytest.mark.parametrize(
    ("params", "location", "told"),
    [
        (
            {"v": "1"},
            "http://127.0.0.1/v1/a1/1?page=10&v=1",
            "http://127.0.0.1/v1/a1/...?page=10&v=...",
        ),
        ({"v": "1"}, "/in?next=http%3A%2F%2Fa%2F%3Fv%3D1&at=21", "/in?next=...&at=21"),
        ({"v": ""}, "/in?v=", "/in?v="),
        ({"team": "own/secret"}, "/in/own/secret", "/..."),
        ({"team": "own/secret"}, "//a/in/http%3A%2F%2Fb%3Fteam%3Down%252Fsecret/x", "//a/in/.../x"),
        ({"key": "ab+cdefgh=="}, "/in/ab+cdefgh==?a=1&k=ab%2Bcdefgh%3D%3D", "/in/...?a=1&k=..."),
        ({"key": "ab%41cdefgh"}, "/in?k=ab%41cdefgh&l=ab%2541cdefgh", "/in?k=...&l=..."),
        ({"key": "ab&cd=efgh"}, "/in?k=ab&cd=efgh", "/in?..."),
        ({"key": "own-secret"}, "https://u:own-secret@a.example/in", "//...@a.example/in"),
        ({"team": "own-secret"}, "/in?xown-secretx&own-secret=1#own-secret", "/in?=...&=..."),
    ],
)
def test_what_a_client_sends_hides_what_may_quote_it_and_nothing_else(
    params: dict[str, str], location: str, told: str
) -> None:
    moved = httpx.MockTransport(lambda _: httpx.Response(302, headers={"Location": location}))
    with httpx.Client(transport=moved, params=params) as client:
        runner = HttpRunner(base_url="http://t.example", client=client)
        outcome = runner.call(operation(method="get"), {})
    assert outcome.text == f"HTTP 302 Found, which leads to {told} (redirects are not followed)"


async def test_a_long_response_is_cut_and_says_so(server: str) -> None:
    tool = operation(method="get", path="/packed")
    outcome = await _both(HttpRunner(base_url=server, max_bytes=1000), tool)
    assert outcome.text[:1000] == "x" * 1000
    assert outcome.text[1000:].endswith("\n(cut: the response is longer than 1,000 bytes)")
    assert outcome.value == "x" * 1000


async def test_a_response_that_never_ends_is_cut_and_says_so(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolret.calling.responses._MAX_SECONDS", 0.2)
    tool = operation(method="get", path="/events")
    runner = HttpRunner(base_url=server)
    for outcome in (runner.call(tool, {}), await runner.acall(tool, {})):
        assert outcome.ok
        assert outcome.text.startswith("data: 1\n\ndata: 1\n\n")
        assert outcome.text.endswith("\n(cut: the response did not end within 0.2 seconds)")


async def test_certificates_are_read_once_for_all_calls(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def counted(*arguments: Any, **options: Any) -> ssl.SSLContext:
        made.append(create(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    for _ in range(2):
        await _both(HttpRunner(base_url=server), operation(method="get", path="/json"))
    assert len(made) <= 1  # none if an earlier test has made a call


async def test_headers_as_they_are_sent(server: str) -> None:
    tool = operation(parameter("X-Name", "header"), method="get", path="/echo")
    outcome = await _both(HttpRunner(base_url=server), tool, **{"X-Name": "Zoë"})
    sent = dict(line.split(": ", 1) for line in outcome.text.splitlines() if line)
    assert sent["X-Name"] == "Zoë"
    assert sent["Accept"] == "application/json, text/*;q=0.9, */*;q=0.5"
    stated = operation(parameter("accept-version", "header"), method="get", path="/echo")
    with httpx.Client(headers={"X-Client": "mine"}) as client:
        text = HttpRunner(base_url=server, client=client).call(stated, {}).text
    assert "X-Client: mine" in text


@pytest.mark.parametrize("secret", [None, "s3cret"])
async def test_what_a_client_adds_to_its_requests_yields_to_credentials_but_no_argument(
    server: str, secret: str | None
) -> None:
    places = {"q": "query", "X-Tenant": "header", "User-Agent": "header", "lang": "cookie"}
    keys = {"api key": "query", "X-Key": "header", "session": "cookie"}
    parameters = [parameter(name, where) for name, where in (places | keys).items()]
    security: list[Any] = [{"key": [], "query_key": [], "cookie_key": []}]
    tool = operation(*parameters, method="get", path="/echo", security=security)
    arguments = dict.fromkeys((tool.parameters or {})["properties"], "a b")
    added: dict[str, Any] = {
        "params": {"api key": "ours", "v": "2"},
        "headers": {"x-tenant": "ours", "x-key": "ours"},
        "cookies": {"session": "ours", "theme": "ours"},
    }
    with httpx.Client(**added) as client:
        async with httpx.AsyncClient(**added) as async_client:
            runner = HttpRunner(
                base_url=server,
                client=client,
                async_client=async_client,
                credentials=(lambda _: secret) if secret else None,
            )
            outcome = await _both(runner, tool, **arguments)
    sent = dict(line.lower().split(": ", 1) for line in outcome.text.splitlines() if line)
    assert (sent["x-tenant"], sent["user-agent"]) == ("ours", "a b")
    assert outcome.text.lower().count("x-key: ") == 1
    if secret:
        assert sent["x-key"] == secret
        assert sent["cookie"] == "theme=ours; lang=a%20b; session=s3cret"
        assert sent["query"] == "v=2&q=a%20b&api%20key=s3cret"
    else:
        assert sent["x-key"] == "ours"
        assert sent["cookie"] == "session=ours; theme=ours; lang=a%20b"
        assert sent["query"] == "api+key=ours&v=2&q=a%20b"


@pytest.mark.parametrize("place", ["https://api.example.com", "https://their:own@api.example.com"])
@pytest.mark.parametrize("auth", [None, ("our", "own")])
async def test_what_the_hook_gives_is_not_replaced_by_other_authentication(
    place: str, auth: tuple[str, str] | None
) -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        return httpx.Response(204)

    added: dict[str, Any] = {"transport": httpx.MockTransport(answer), "auth": auth}
    tool = operation(method="get", servers=[{"url": place}], security=[{"login": ["read"]}])
    with httpx.Client(**added) as client:
        async with httpx.AsyncClient(**added) as async_client:
            runner = HttpRunner(
                origins=["https://api.example.com"],
                client=client,
                async_client=async_client,
                credentials=lambda _: "alices",
            )
            await _both(runner, tool)
    assert sent == ["Bearer alices", "Bearer alices"]


async def test_a_session_that_a_response_opens_for_one_user_is_not_anothers() -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Cookie"])
        return httpx.Response(200, headers={"Set-Cookie": "session=alices"})

    added: dict[str, Any] = {
        "transport": httpx.MockTransport(answer),
        "cookies": {"theme": "ours"},
    }
    with httpx.Client(**added) as client:
        async with httpx.AsyncClient(**added) as async_client:
            runner = HttpRunner(
                base_url="http://t.example", client=client, async_client=async_client
            )
            for _ in range(2):
                await _both(runner, operation(method="get"))
            client.cookies["theme"] = async_client.cookies["theme"] = "new"
            await _both(runner, operation(method="get"))
    assert sent == 4 * ["theme=ours"] + 2 * ["theme=new"]


async def test_a_file_is_sent_whatever_type_the_client_gives_its_requests(server: str) -> None:
    schema = {"type": "object", "properties": {"f": {"type": "string", "format": "binary"}}}
    tool = operation(body={"multipart/form-data": {"schema": schema}})
    with httpx.Client(headers={"Content-Type": "application/json"}) as client:
        outcome = HttpRunner(base_url=server, client=client).call(tool, {"f": "a,b"})
    kind, _, body = outcome.text.partition("\n")
    start, _, boundary = kind.partition("=")
    assert start == "multipart/form-data; boundary"
    assert body.startswith(f"--{boundary}\r\n")
    assert 'form-data; name="f"; filename="f"\r\nContent-Type: application/octet-stream' in body
    assert "\r\n\r\na,b\r\n" in body


@pytest.mark.parametrize("arguments", [{}, {"id": ".."}, {"id": "1", "other": 2}])
async def test_for_arguments_that_do_not_fit_no_secret_is_asked(arguments: dict[str, Any]) -> None:
    def hook(scheme: SecurityScheme) -> str:
        raise AssertionError(scheme)

    tool = operation(parameter("id", "path"), path="/items/{id}", security=[{"bearer": []}])
    runner = HttpRunner(base_url="http://t.example", credentials=hook)
    for fail in (lambda: runner.call(tool, arguments), lambda: runner.acall(tool, arguments)):
        with pytest.raises(CallError, match=r"needs the arg|part of a path|has no argument"):
            await _awaited(fail)


async def test_a_server_that_is_not_there_is_a_clear_error_without_secrets() -> None:
    tool = operation(method="get", path="/x", security=[{"query_key": []}])
    nobody = f"http://127.0.0.1:{free_port()}"
    runner = HttpRunner(base_url=nobody, credentials=lambda scheme: "s3cret")
    for fail in (lambda: runner.call(tool, {}), lambda: runner.acall(tool, {})):
        with pytest.raises(CallError, match=r"^GET /x: no answer came \(ConnectError") as caught:
            await _awaited(fail)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "secret"),
    [("key", " s3cret"), ("key", "s3cret "), ("bearer", "s3cret "), ("bearer", "s3cret\n")],
)
async def test_a_secret_that_cannot_be_sent_is_not_quoted(
    server: str, scheme: str, secret: str
) -> None:
    tool = operation(method="get", path="/echo", security=[{scheme: []}])
    toolbox = Toolbox([tool], HttpRunner(base_url=server, credentials=lambda scheme: secret))
    for outcome in (toolbox.call(tool.id, {}), await toolbox.acall(tool.id, {})):
        assert outcome.text.startswith("Error: 't.op': the header '")
        assert "s3cret" not in outcome.text


def test_what_the_http_client_refuses_is_not_quoted() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError("Illegal header value b'Bearer s3cret'")

    tool = operation(method="get", path="/x")
    with httpx.Client(transport=httpx.MockTransport(refuse)) as client:
        runner = HttpRunner(base_url="https://api.example.com", client=client)
        with pytest.raises(CallError, match=r"no answer came \(LocalProtocolError\)$"):
            runner.call(tool, {})


@pytest.mark.parametrize("event", ["request", "response"])
@pytest.mark.parametrize("failure", [KeyError("s3cret"), ValueError("s3cret")])
async def test_what_a_hook_of_the_client_raises_is_logged_and_not_quoted(
    server: str, caplog: pytest.LogCaptureFixture, event: str, failure: Exception
) -> None:
    def hook(_: Any) -> None:
        raise failure

    async def async_hook(_: Any) -> None:
        raise failure

    tool = operation(method="get", path="/json")
    with httpx.Client(event_hooks={event: [hook]}) as client:
        async with httpx.AsyncClient(event_hooks={event: [async_hook]}) as async_client:
            runner = HttpRunner(base_url=server, client=client, async_client=async_client)
            outcome = Toolbox([tool], runner).call(tool.id, {})
            assert await Toolbox([tool], runner).acall(tool.id, {}) == outcome
    kind = type(failure).__name__
    assert outcome == ToolResult(f"Error: GET /json: the HTTP client raised {kind}", ok=False)
    assert caplog.text.count(f"the HTTP client raised {kind}:\n") == 2
    assert "s3cret" not in caplog.text


def test_a_status_that_a_hook_of_the_client_raises_is_told_without_the_url(server: str) -> None:
    hooks: Any = {"response": [httpx.Response.raise_for_status]}
    with httpx.Client(event_hooks=hooks, params={"key": "s3cret"}) as client:
        runner = HttpRunner(base_url=server, client=client)
        with pytest.raises(CallError) as caught:
            runner.call(operation(method="get", path="/problem"), {})
    assert str(caught.value) == (
        "GET /problem: the HTTP client raised HTTPStatusError (409 Conflict)"
    )


async def test_a_text_that_cannot_be_encoded_is_an_error_that_can(server: str) -> None:
    tool = operation(method="get", path="/half")
    toolbox = Toolbox([tool], HttpRunner(base_url=server))
    assert toolbox.call(tool.id, {}).text == "? half"
    assert (await toolbox.acall(tool.id, {})).text == "? half"


@pytest.mark.parametrize(
    ("origins", "problem"),
    [
        ("https://api.example.com", "give a collection of servers"),
        (["api.example.com"], "'api.example.com' needs a scheme and a host"),
        (["https://a.example", ""], "'' needs a scheme and a host"),
        (["http://[::1"], r"'http://\[::1' is no URL"),
    ],
)
def test_origins_that_no_server_has(origins: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        HttpRunner(origins=origins)


@pytest.mark.parametrize("end", ["?key=s3cret", "/v2#top"])
def test_a_base_url_has_no_query_or_fragment_which_would_be_lost(end: str) -> None:
    with pytest.raises(InputError, match="base_url has a query or fragment") as raised:
        HttpRunner(base_url=f"https://api.example.com{end}")
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("base_url", [None, "https://api.example.com"])
def test_a_documents_server_that_is_no_url_is_an_error_of_the_call(base_url: str | None) -> None:
    tool = operation(servers=[{"url": "http://[::1"}])
    with pytest.raises(CallError, match="its server is no URL"):
        HttpRunner(base_url=base_url).request(tool, {})


async def test_a_server_that_does_not_answer_times_out() -> None:
    tool = operation(method="get", path="/x")
    with silent_server() as url, httpx.Client(timeout=0.2) as client:
        async with httpx.AsyncClient(timeout=0.2) as async_client:
            runner = HttpRunner(base_url=url, client=client, async_client=async_client)
            for fail in (lambda: runner.call(tool, {}), lambda: runner.acall(tool, {})):
                with pytest.raises(CallError, match="did not answer in time"):
                    await _awaited(fail)


async def test_a_response_that_cannot_be_unpacked_is_an_error(server: str) -> None:
    tool = operation(method="get", path="/misnamed")
    with pytest.raises(CallError, match=r"no answer came \(DecodingError"):
        HttpRunner(base_url=server).call(tool, {})


async def _awaited(call: Callable[[], Any]) -> None:
    result = call()
    if not isinstance(result, ToolResult):
        await result


def test_only_operations_are_run() -> None:
    runner = HttpRunner()
    assert runner.runs(operation())
    assert not runner.runs(Tool("a", "a", metadata={"method": "GET"}))
