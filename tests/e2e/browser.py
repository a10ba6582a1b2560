"""Chromium without a window, over the pipe of its DevTools protocol."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

SECONDS = 30  # for an answer; machines that run tests are busy


def find_chromium():
    """The program; ends the test as skipped without one, as failed where there must be one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if program := shutil.which(name):
            return program
    if os.environ.get("FP8CAL_REQUIRE_BROWSER") == "1":
        sys.exit("failed: FP8CAL_REQUIRE_BROWSER=1 and there is no chromium")
    print("skipped: no chromium (apt-get install chromium)")
    sys.exit(77)


class Browser:
    """One page, as wide and in such colours as asked for, and what it said on its console."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="fp8cal-chromium-")
        to_browser, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()
        # The browser expects its ends as descriptors 3 and 4.
        command = (f"exec {program} --headless=new --no-sandbox --disable-gpu --no-first-run "
                   f"--disable-dev-shm-usage --hide-scrollbars --remote-debugging-pipe "
                   f"--user-data-dir={self.profile} 3<&{to_browser} 4>&{from_browser}")
        self.process = subprocess.Popen(
            ["bash", "-c", command], pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.count, self.session, self.said = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.write_end)
        os.close(self.read_end)
        shutil.rmtree(self.profile, ignore_errors=True)

    def message(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read_end], [], [], deadline - time.monotonic())
            read = os.read(self.read_end, 1 << 20) if ready else b""
            if not read:
                raise TimeoutError("chromium does not answer")
            self.buffer += read
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def wait(self, wanted):
        """The first message that is wanted; notes down what a console would show before it."""
        deadline = time.monotonic() + SECONDS
        while True:
            message = self.message(deadline)
            if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown",
                                         "Log.entryAdded"):
                self.said.append(message["params"])
            if message.get("method") == "Network.requestWillBeSent":
                self.said += self.foreign(message["params"]["request"]["url"])
            if wanted(message):
                return message

    @staticmethod
    def foreign(url):
        return [] if url.startswith("file:") else [f"request for {url}"]

    def call(self, method, **parameters):
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        answer = self.wait(lambda one: one.get("id") == self.count)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def show(self, path, width, dark=False, media="screen", height=900):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call("Page.navigate", url=f"file://{path}")
        self.wait(lambda one: one.get("method") == "Page.loadEventFired")

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def screenshot(self, path):
        """Of the whole page."""
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))
