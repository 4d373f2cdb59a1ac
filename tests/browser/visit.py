"""A page open in the browser, and all that it asked for and complained about.

Screenshots are kept in build/screenshots for a person to look at.
"""

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, StorageState

from tests.servers import Up

PATIENCE_MS = 90_000  # what a machine with much to do may take over a page
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"


class Visit:
    def __init__(
        self, browser: Browser, url: str, width: int = 1280, height: int = 720, cookies: StorageState | None = None
    ) -> None:
        """`cookies`: of `signed_in`, for who is to be at the screen; a small one, for the processor draws the map."""
        self.page: Page = browser.new_page(viewport={"width": width, "height": height}, storage_state=cookies)
        self.page.set_default_timeout(PATIENCE_MS)
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        self.page.on("request", self._requested)
        self.page.on("websocket", lambda socket: self.hosts.add(urlsplit(socket.url).netloc))
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _requested(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:")):
            self.hosts.add(urlsplit(request.url).netloc)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


def signed_in(browser: Browser, twin: Up, role: str) -> StorageState:
    """The cookies of somebody with this role, who signed in by the form."""
    name, password = twin.account(role)
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{twin.url}/sign-in?next=/healthz")
    page.fill("[name=user]", name)
    page.fill("[name=password]", password)
    page.locator("form button").click()
    page.wait_for_url(f"{twin.url}/healthz")
    cookies = page.context.storage_state()
    page.close()
    return cookies
