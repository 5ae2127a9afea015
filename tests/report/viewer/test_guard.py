"""The guard: a token in every address, this machine's name, no other place's pages."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from wsis.report.viewer._guard import Guard

HOST = "127.0.0.1:8000"


def asked(path, kind="http", host=HOST, **headers):
    """The messages of a guarded application that says yes."""
    scope = {
        "type": kind,
        "path": path,
        "method": "GET",
        "headers": [
            (key.encode(), value.encode())
            for key, value in {"host": host, **headers}.items()
        ],
    }
    sent = []

    async def send(message):
        sent.append(message)

    async def yes(scope, receive, send):
        if scope["type"] == "http":
            await PlainTextResponse("yes")(scope, receive, send)
        else:
            await send({"type": "websocket.accept"})

    async def receive():
        return {"type": "http.request"}

    asyncio.run(Guard(yes, "secret")(scope, receive, send))
    return sent


@pytest.mark.parametrize("path", ["/secret/", "/secret", "/secret/_nicegui/a.js"])
@pytest.mark.parametrize("host", [HOST, "localhost:9", "LOCALHOST"])
def test_lets_in_who_knows_the_token(path, host):
    start, body = asked(path, host=host)

    headers = dict(start["headers"])
    assert (start["status"], body["body"]) == (200, b"yes")
    policy = headers[b"content-security-policy"].decode()
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    assert headers[b"referrer-policy"] == b"no-referrer"
    assert asked(path, "websocket", host)[0]["type"] == "websocket.accept"
    same = asked(path, "websocket", host, origin=f"http://{host}")
    assert same[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/secre/", {}),
        ("/secrets/", {}),
        ("/picture/0", {}),
        ("/_nicegui/a.js", {}),
        ("//secret/", {}),
        ("/sécret/", {}),
        ("/secret/", {"host": "evil.example"}),
        ("/secret/", {"host": ""}),
        ("/secret/", {"host": "127.0.0.1.evil.example"}),
        ("/secret/", {"origin": "http://evil.example"}),
        ("/secret/", {"origin": "null"}),
        ("/secret/", {"origin": "http://127.0.0.1:1"}),
    ],
)
def test_refuses_all_others_alike(path, headers):
    start, body = asked(path, **headers)
    [closed] = asked(path, "websocket", **headers)

    assert (start["status"], body["body"]) == (404, b"not found\n")
    assert closed == {"type": "websocket.close", "code": 1008}
