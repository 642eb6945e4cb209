"""A browser as somebody uses it: real keys and clicks, told over Chromium's own pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
from itertools import count

FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
LONGEST = 60
"""Seconds to wait for an answer."""


class Browser:
    """One tab. ``said`` is what pages put on the console or could not load, since the last :meth:`open`."""

    def __init__(self, folder):
        theirs, self._out = os.pipe()
        self._in, answers = os.pipe()

        def as_three_and_four():
            kept = [os.dup(theirs), os.dup(answers)]
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)

        command = [FOUND, *FLAGS, f"--user-data-dir={folder}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, preexec_fn=as_three_and_four, close_fds=False, **quiet)
        os.close(theirs)
        os.close(answers)
        self._ids, self._read, self._events, self._session, self.said = count(1), b"", [], None, []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self(f"{domain}.enable")

    def __call__(self, method, **parameters):
        """The result of a command of the protocol."""
        number = next(self._ids)
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": number, "method": method, "params": parameters} | session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self._keep(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(self, address, width=1200, scheme="light", media=""):
        """Go to an address, in a window so wide, and wait until all of it is there."""
        shape = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self("Emulation.setDeviceMetricsOverride", **shape)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self("Emulation.setEmulatedMedia", media=media, features=features)
        self.said, self._events = [], []
        self("Page.navigate", url=address)
        self.wait_for("Page.loadEventFired")

    def wait_for(self, event):
        while event not in self._events:
            self._keep(self._next())
        self._events.remove(event)

    def ask(self, expression):
        """What a line of script gives."""
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key, code, text=""):
        """A key down and up, as a keyboard sends it to whatever has the focus."""
        own = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self("Input.dispatchKeyEvent", type="keyDown", text=text, **own)
        self("Input.dispatchKeyEvent", type="keyUp", **own)

    def click(self, element):
        """The left button in the middle of the first element of a selector."""
        place = self.ask(
            "(e => { e.scrollIntoView({block: 'center'}); const b = e.getClientRects()[0]; "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })"
            f"(document.querySelector({json.dumps(element)}))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def pdf(self):
        """The page as it is printed."""
        return base64.b64decode(self("Page.printToPDF")["data"])

    def picture(self):
        """All of the page as PNG."""
        shown = self("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shown["data"])

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def _next(self):
        while b"\0" not in self._read:
            assert select.select([self._in], [], [], LONGEST)[0], "the browser does not answer"
            self._read += os.read(self._in, 1 << 20)
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def _keep(self, message):
        self._events.append(message.get("method"))
        told = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        if message.get("method") in told:
            self.said.append(message["params"])
