"""What a run is shown as: its page in a real browser, its trace, its events,
and what the program that makes them exits with."""
import base64
import collections
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
MUTATIONS = RUNFILES / "scenarios" / "mutations"
SCENARIOS = RUNFILES / "scenarios" / "scenarios"
# Only a restart shows it, so that the page has crashes.
BUG = "--plant=a ballot is used again after a restart"
STORY = "Storm.OfThree"


class Browser:
    """Headless Chromium, driven over the DevTools protocol by a pair of pipes:
    messages are JSON and end with a zero byte."""

    def __init__(self, folder):
        to_read, self.to = os.pipe()
        self.back, back_write = os.pipe()
        # Chromium reads commands from 3 and answers on 4. High numbers first,
        # so that neither is overwritten before it has been copied.
        script = 'exec "$0" "$@" 3<&%d 4>&%d' % (to_read, back_write)
        self.process = subprocess.Popen(
            ["bash", "-c", script, "chromium", "--headless=new",
             "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--user-data-dir=%s" % folder,
             "--window-size=1500,950", "--remote-debugging-pipe",
             "about:blank"],
            pass_fds=(to_read, back_write), stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder})
        os.close(to_read)
        os.close(back_write)
        self.unread = b""
        self.next_id = 0
        self.events = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        self.session = None
        self.session = self.call(
            "Target.attachToTarget",
            {"targetId": page["targetId"], "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        os.close(self.to)
        os.close(self.back)

    def receive(self):
        while b"\0" not in self.unread:
            block = os.read(self.back, 1 << 16)
            if not block:
                raise EOFError("chromium has ended")
            self.unread += block
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)

    def call(self, method, parameters=None):
        self.next_id += 1
        message = {"id": self.next_id, "method": method,
                   "params": parameters or {}}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.next_id:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, path):
        self.call("Page.navigate", {"url": "file://%s" % path})
        while not any(e.get("method") == "Page.loadEventFired"
                      for e in self.events):
            self.events.append(self.receive())
        self.settle()

    def settle(self):
        """Until what was asked for has been drawn."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => "
                      "requestAnimationFrame(() => done(1))))")

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", {
            "expression": expression, "returnByValue": True,
            "awaitPromise": True})
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent",
                  {"type": kind, "x": x, "y": y, **more})

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)
        self.settle()

    def key(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", {"type": kind, "key": key})
        self.settle()

    def screenshot(self, path):
        shot = self.call("Page.captureScreenshot")
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))

    def complaints(self):
        """Errors and warnings of the page; that it is slow to read pixels
        back is about this test."""
        return [e for e in self.events if e.get("method") in
                ("Runtime.exceptionThrown", "Runtime.consoleAPICalled") or
                (e.get("method") == "Log.entryAdded" and
                 e["params"]["entry"]["source"] != "rendering")]


def run(program, *arguments):
    return subprocess.run([program, *arguments], text=True,
                          capture_output=True, check=False)


class PagesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(
            tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")))
        cls.page = cls.folder / "run.html"
        cls.trace = cls.folder / "run.json"
        cls.events = cls.folder / "run.events"
        cls.failed = run(
            MUTATIONS, BUG, "--scenario=" + STORY, "--seeds=2000",
            "--html=%s" % cls.page, "--trace=%s" % cls.trace,
            "--events=%s" % cls.events)
        cls.browser = Browser(str(cls.folder / "profile"))
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.events = []
        self.browser.open(self.page)

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [])

    def texts(self, selector):
        return self.browser.evaluate(
            "[...document.querySelectorAll(%s)].map((e) => e.textContent)"
            % json.dumps(selector))

    def details(self):
        return self.texts("#details")[0]

    def place(self, expression):
        """Where an item of the page's model is on the screen."""
        return self.browser.evaluate("""(() => {
            const item = %s;
            reveal(item);
            const box = stage.getBoundingClientRect();
            const lane = laneOf[item.who];
            const y = item.kind === "span" ?
                placeOf(lane, item)[0] + placeOf(lane, item)[1] / 2 :
                symbolY(lane, item.style);
            return [box.left + (item.kind === "span" ?
                        x((item.t + item.ends) / 2) : x(item.t)),
                    box.top + AXIS + lane.top - scroller.scrollTop + y];
        })()""" % expression)

    def color_at(self, x, y):
        return self.browser.evaluate("""(() => {
            const box = stage.getBoundingClientRect();
            const ratio = stage.width / box.width;
            return [...stage.getContext("2d").getImageData(
                (%f - box.left) * ratio, (%f - box.top) * ratio, 1, 1).data];
        })()""" % (x, y))

    def test_the_failure_is_told(self):
        self.assertEqual(self.failed.returncode, 1, self.failed.stderr)
        self.assertIn("Replay it with:", self.failed.stderr)
        self.assertIn("The last events:", self.failed.stderr)
        self.assertEqual(self.texts("#title"), [STORY])
        self.assertEqual(self.texts("#verdict"), ["violation"])
        self.assertIn(self.texts("#cause")[0], self.failed.stderr)
        self.assertIn(" --scenario=" + STORY, self.texts("#replay")[0])

    def test_lanes_and_spans(self):
        lanes = self.texts(".lane")
        for replica in ("replica0", "replica1", "replica2"):
            self.assertIn(replica, lanes)
        classes = self.browser.evaluate("[...new Set(spans.map(s => s.class))]")
        for name in ("runs", "reign"):
            self.assertIn(name, classes)
        reign = self.place("spans.find((s) => s.class === 'reign')")
        self.browser.settle()
        self.assertGreater(max(self.color_at(*reign)[:3]) -
                           min(self.color_at(*reign)[:3]), 20, "no colour")

    def test_a_click_shows_details(self):
        self.assertIn("Click on anything", self.details())
        at = self.place("spans.find((s) => s.class === 'reign')")
        self.browser.settle()
        self.browser.click(*at)
        self.assertIn("leads in epoch", self.details())
        at = self.place("notes.find((n) => n.style === 'crash')")
        self.browser.settle()
        self.browser.click(*at)
        self.assertRegex(self.details(), "is killed|exits|loses power|dies")
        if "TEST_UNDECLARED_OUTPUTS_DIR" in os.environ:
            self.browser.screenshot(pathlib.Path(
                os.environ["TEST_UNDECLARED_OUTPUTS_DIR"]) / "page.png")

    def test_wheel_drag_and_keys(self):
        width = "view.to - view.from"
        x, y = self.place("spans.find((s) => s.class === 'reign')")
        whole = self.browser.evaluate(width)
        self.browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-400)
        self.browser.settle()
        near = self.browser.evaluate(width)
        self.assertLess(near, whole)
        begin = self.browser.evaluate("view.from")
        self.browser.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.browser.mouse("mouseMoved", x - 90, y, button="left", buttons=1)
        self.browser.mouse("mouseReleased", x - 90, y, button="left")
        self.browser.settle()
        self.assertGreater(self.browser.evaluate("view.from"), begin)
        self.browser.evaluate("stage.focus()")
        self.browser.key("0")
        self.assertAlmostEqual(self.browser.evaluate(width), whole, delta=2)
        self.browser.key("n")
        first = self.details()
        self.assertNotIn("Click on anything", first)
        self.browser.key("n")
        self.assertNotEqual(self.details(), first)
        self.browser.key("ArrowRight")
        self.assertIn("at", self.details())

    def test_find(self):
        self.browser.evaluate("""(() => {
            $("search").value = "replica1 starts";
            $("search").dispatchEvent(new Event("input"));
        })()""")
        self.assertRegex(self.texts("#found")[0], r"^1 of \d+$")
        self.assertIn("starts", self.details())

    def test_no_text_can_become_markup(self):
        page = self.page.read_text()
        data = page.partition('id="run">')[2].partition("</script>")[0]
        self.assertNotIn("<", data)
        self.assertEqual(json.loads(data)["title"], STORY)
        self.assertNotRegex(page, r'(src|href)="?http')

    def test_dark(self):
        self.browser.call("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark"}]})
        self.browser.settle()
        dark = self.browser.evaluate("colors.panel")
        self.browser.call("Emulation.setEmulatedMedia", {"features": []})
        self.browser.settle()
        self.assertNotEqual(self.browser.evaluate("colors.panel"), dark)

    def test_a_long_run_is_drawn(self):
        """100,000 notes and as many packets."""
        page = self.folder / "long.html"
        text = self.page.read_text()
        begin, _, rest = text.partition('id="run">')
        data, _, end = rest.partition("</script>")
        run_data = json.loads(data)
        who = run_data["names"].index("replica0")
        whom = run_data["names"].index("replica1")
        run_data["end"] = 100_000 * 10**6
        for i in range(100_000):
            run_data["notes"] += [i * 10**6, who, whom, 0, i, 0]
            run_data["packets"] += [i * 10**6, i * 10**6 + 500, who, whom, 0, 1]
        page.write_text(begin + 'id="run">' + json.dumps(run_data) +
                        "</script>" + end)
        self.browser.events = []
        self.browser.open(page)
        self.assertTrue(self.browser.evaluate("""(() => {
            shown.note = true;
            draw();
            drawOverview();
            return true;
        })()"""))

    def test_the_trace_is_well_formed(self):
        events = json.loads(self.trace.read_text())["traceEvents"]
        phases = collections.Counter(e["ph"] for e in events)
        for begin, end in (("B", "E"), ("b", "e"), ("s", "f")):
            self.assertGreater(phases[begin], 0)
            self.assertEqual(phases[begin], phases[end])
        names = {(e["name"], e["args"]["name"]) for e in events
                 if e["ph"] == "M"}
        self.assertIn(("process_name", "replica1"), names)
        self.assertIn(("thread_name", "replica1"), names)
        open_ids = {e["id"]: e["ts"] for e in events if e["ph"] == "s"}
        for event in events:
            self.assertTrue({"ph", "pid", "tid", "ts", "name"} <= set(event))
            if event["ph"] == "f":
                self.assertLessEqual(open_ids[event["id"]], event["ts"])
        depth = collections.Counter()
        for event in sorted((e for e in events if e["ph"] in "BE"),
                            key=lambda e: e["ts"]):
            place = event["pid"], event["tid"]
            depth[place] += 1 if event["ph"] == "B" else -1
            self.assertIn(depth[place], (0, 1), "lives overlap")
        self.assertTrue(any("leads in epoch" in e["name"] for e in events))

    def test_the_first_difference(self):
        other = self.folder / "other.events"
        text = self.events.read_text()
        lines = text.splitlines(keepends=True)
        lines[40] = lines[40].replace("\t", "\t9", 1)
        other.write_text("".join(lines))
        same = run(SCENARIOS, "--diff=%s,%s" % (self.events, self.events))
        self.assertEqual((same.returncode, same.stdout),
                         (0, "no difference\n"))
        differs = run(SCENARIOS, "--diff=%s,%s" % (self.events, other))
        self.assertEqual(differs.returncode, 6)
        self.assertIn("part at line 41", differs.stdout)
        self.assertIn(lines[40], differs.stdout)


if __name__ == "__main__":
    unittest.main()
