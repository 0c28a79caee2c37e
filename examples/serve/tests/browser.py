"""A headless Chromium, which is told what to do by the DevTools protocol."""

import contextlib
import itertools
import json
import os
import re
import subprocess

import websockets.sync.client
from support import PATIENCE, until

# Nothing of a first start, nothing from elsewhere.
OPTIONS = ["--headless=new", "--remote-debugging-port=0", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]
OPTIONS += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"]


@contextlib.contextmanager
def chromium(directory):
    """A page, in a browser of its own that keeps everything in the directory."""
    options = [*OPTIONS, f"--user-data-dir={directory}"]
    if os.geteuid() == 0:
        # Chromium refuses to make a sandbox for root.
        options.append("--no-sandbox")
    log = directory / "log"
    with log.open("wb") as output, subprocess.Popen(["chromium", *options, "about:blank"], stdout=output, stderr=output) as process:
        try:
            url = until(lambda: re.search(r"listening on (ws://\S+)", log.read_text(errors="replace")), log.read_text)[1]
            with websockets.sync.client.connect(url, max_size=None) as connection:
                browser = Browser(connection)
                yield browser
                browser.send("Browser.close")
            process.wait(PATIENCE)
        finally:
            process.kill()


class Browser:
    def __init__(self, connection):
        self.connection = connection
        self.numbers = itertools.count(1)
        self.open()

    def open(self):
        """Opens an empty page."""
        self.session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def send(self, method, **parameters):
        """Sends a command, and returns its result."""
        command = {"id": next(self.numbers), "method": method, "params": parameters}
        if self.session is not None and not method.startswith(("Browser.", "Target.")):
            command["sessionId"] = self.session
        self.connection.send(json.dumps(command))
        while True:
            answer = json.loads(self.connection.recv(PATIENCE))
            if answer.get("id") == command["id"]:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, expression):
        """The value of an expression in the page."""
        result = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression):
        """Waits until an expression is true in the page."""
        return until(lambda: self.evaluate(expression), lambda: f"{expression}: {self.evaluate('document.body.innerText')}")

    def go(self, url):
        self.send("Page.navigate", url=url)
        self.until(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def click(self, selector):
        """Clicks with the mouse in the middle of an element, as a user does."""
        box = self.evaluate(f"(box => [box.x + box.width / 2, box.y + box.height / 2])(document.querySelector({selector!r}).getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def type(self, text):
        self.send("Input.insertText", text=text)

    def press(self, key, code):
        for kind in ("rawKeyDown", "char", "keyUp") if key == "Enter" else ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text="\r" if key == "Enter" else "")
