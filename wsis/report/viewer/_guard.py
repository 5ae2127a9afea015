"""Lets in who knows the token: every address begins with it, also that of a socket."""

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOME = "127.0.0.1"

_HOSTS = {HOME, "localhost"}

# NiceGUI's pages make their styles and scripts while they run.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:;"
        " object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""They keep pages from loading anything of other places, and others from framing it."""


class Guard:
    """Passes on requests whose path begins with the token and that mean this machine.

    Others learn nothing, not even whether a page is there. A page of another site that
    sends its visitor's browser here is refused by its name or its origin.

    Args:
        app: answers what is passed on.
        token: as the first part of every path.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan" or self._known(scope):
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse("not found\n", 404)(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        first = scope["path"].removeprefix("/").partition("/")[0]
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        return (
            secrets.compare_digest(first.encode(), self._token)
            and host.partition(":")[0].lower() in _HOSTS
            and origin in (None, f"http://{host}")
        )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sending
