"""Runs as traces keep to the format of Chrome's trace events.

What is checked is what viewers rely on, without a word when it does not hold:
slices of a thread nest; an arrow has one beginning and one end of the same id,
each in a slice; what is asynchronous ends as it began.
"""
import collections
import json
import pathlib
import subprocess
import tempfile
import unittest
from decimal import Decimal

PROGRAM = pathlib.Path.cwd() / "scenarios" / "scenarios"


def trace_of(story, seed):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "trace"
        subprocess.run([PROGRAM, "--scenario=" + story, "--seed=%d" % seed,
                        "--trace=%s" % path], check=True, timeout=300,
                       stdout=subprocess.DEVNULL)
        return json.loads(path.read_text(encoding="utf-8"),
                          parse_float=Decimal)["traceEvents"]


def thread_of(event):
    return event["pid"], event["tid"]


def slices_of(events):
    """thread -> [(begin, end, name)]. Raises AssertionError for an E without
    its B.
    """
    slices = collections.defaultdict(list)
    begun = collections.defaultdict(list)
    for event in events:
        thread = thread_of(event)
        if event["ph"] == "X":
            end = event["ts"] + event["dur"]
            slices[thread].append((event["ts"], end, event["name"]))
        elif event["ph"] == "B":
            begun[thread].append(event)
        elif event["ph"] == "E":
            begin = begun[thread].pop()
            assert begin["name"] == event["name"], event
            slices[thread].append((begin["ts"], event["ts"], event["name"]))
    assert not any(begun.values()), begun
    return slices


class TraceTest(unittest.TestCase):
    def assert_nested(self, slices):
        """None begins in another one and ends outside of it."""
        for thread, some in slices.items():
            around = []
            for begin, end, name in sorted(some, key=lambda s: (s[0], -s[1])):
                self.assertLessEqual(begin, end, name)
                while around and around[-1][1] <= begin:
                    around.pop()
                if around:
                    self.assertLessEqual(end, around[-1][1],
                                         (thread, name, around[-1]))
                around.append((begin, end))

    def assert_arrows(self, events, slices):
        ends = collections.defaultdict(list)
        inside = {(thread, begin) for thread, some in slices.items()
                  for begin, _, _ in some}
        for event in events:
            if event["ph"] in "sf":
                ends[event["cat"], event["name"], event["id"]].append(event)
                self.assertIn((thread_of(event), event["ts"]), inside, event)
        self.assertGreater(len(ends), 100)
        for arrow in ends.values():
            self.assertEqual([event["ph"] for event in arrow], ["s", "f"])
            self.assertLessEqual(arrow[0]["ts"], arrow[1]["ts"])
            # To the slice around it, not to the next that begins.
            self.assertEqual(arrow[1]["bp"], "e")

    def assert_pairs(self, events):
        open_ones = {}
        for event in events:
            key = event.get("cat"), event.get("id")
            if event["ph"] == "b":
                self.assertNotIn(key, open_ones)
                open_ones[key] = event
            elif event["ph"] == "e":
                begin = open_ones.pop(key)
                self.assertEqual(begin["name"], event["name"])
                self.assertEqual(thread_of(begin), thread_of(event))
                self.assertLessEqual(begin["ts"], event["ts"])
        self.assertEqual(open_ones, {})

    def assert_names(self, events):
        named = collections.Counter(
            (event["name"], thread_of(event)) for event in events
            if event["ph"] == "M")
        self.assertEqual(set(named.values()), {1})
        threads = {thread_of(event) for event in events}
        for thread in threads:
            self.assertEqual(named["thread_name", thread], 1)
        hosts = {thread[0] for thread in threads}
        self.assertEqual(hosts, {thread[0] for name, thread in named
                                 if name == "process_name"})

    def test_what_viewers_rely_on(self):
        for story, seed in [("SplitBrain.", 1), ("Twice.AReplica", 1),
                            ("Swarm.Log", 23), ("Swarm.Cluster", 40)]:
            names = subprocess.run(
                [PROGRAM, "--list", "--scenario=" + story], check=True,
                text=True, stdout=subprocess.PIPE).stdout.split()
            with self.subTest(story):
                events = trace_of(names[0], seed)
                slices = slices_of(events)
                self.assert_nested(slices)
                self.assert_arrows(events, slices)
                self.assert_pairs(events)
                self.assert_names(events)
                self.assertLessEqual({event["ph"] for event in events},
                                     set("MBEXbesfi"))


if __name__ == "__main__":
    unittest.main()
