"""What a process answers about itself: /healthz, /readyz and /metrics, in the web or on a port of its own."""

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator

import msgspec
import uvicorn
from fastapi import APIRouter, FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from twin.errors import OurError
from twin.settings import Monitor, env_name

log = logging.getLogger("gaoxin.monitor")

# A newest frame older than this is a trouble, seconds
LATE_S = 10


def router(troubles: Callable[[], list[str]] | None) -> APIRouter:
    """`troubles`: what keeps the process from its work, each as a sentence. None: it cannot tell, so no /readyz."""
    api = APIRouter(tags=["operation"])

    @api.get("/healthz")
    def healthz() -> dict[str, str]:
        """200 as long as this process serves."""
        return {"status": "ok"}

    @api.get("/metrics")
    def metrics() -> Response:
        """Prometheus text."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    if troubles is not None:

        @api.get("/readyz")
        def readyz() -> Response:
            """200 when the store answers, the broker is connected and frames are fresh; else 503 and what is not."""
            wrong = troubles()
            body = {"status": "not ready" if wrong else "ready", "troubles": wrong}
            return Response(msgspec.json.encode(body), 503 if wrong else 200, media_type="application/json")

    return api


@contextlib.contextmanager
def answering(settings: Monitor, troubles: Callable[[], list[str]] | None = None) -> Iterator[None]:
    """Meanwhile a thread answers on monitor.host and monitor.port; nobody does with port 0.

    Raises OurError when the port cannot be had.
    """
    if not settings.port:
        yield
        return
    app = FastAPI(title="gaoxin-twin", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(router(troubles))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))
    with _listen(settings) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), name="monitor", daemon=True)
        thread.start()
        log.info("answering at http://%s:%d/healthz", settings.host, settings.port)
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(timeout=5)


def _listen(settings: Monitor) -> socket.socket:
    """Here and not in uvicorn, whose thread would end with a message to nobody."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise OurError(
            f"monitor.port = {settings.port} on monitor.host = {settings.host}: {error.strerror}. "
            f"Each process without a web needs a port of its own: set {env_name('monitor.port')}"
        ) from None
