"""The benchmark of fail-over, small: it measures what it says."""
import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from bench.failover import failover_bench
from bench.failover import masters


class FailoverBenchTest(unittest.TestCase):
    def test_registrations_are_parsed(self):
        text = ("1.5 admitted A 3\n2.5 registered A 7\n"
                "3.5 disobeyed A 3\n4.0 regis")
        self.assertEqual(masters.parse_registrations(text),
                         [(1.5, "A", 3), (2.5, "A", 7)])
        self.assertEqual(masters.parse_registrations(text, 2.0),
                         [(2.5, "A", 7)])

    def test_memory_is_told_for_each_agent(self):
        self.assertEqual(
            failover_bench.memory_per_agent({2: 5000, 102: 6000, 1002: 9000}),
            {102: 10, 1002: 4})
        self.assertEqual(failover_bench.memory_per_agent({5: 5000}), {})

    def test_a_leader_is_killed_and_all_come_back(self):
        folder = tempfile.mkdtemp()
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = failover_bench.main([
                "--binaries=%s" % pathlib.Path.cwd(), "--rounds=1",
                "--agents=2,5", "--tasks=2", "--no-peers", "--patience=0",
                "--json", "--folder=" + folder])
        kept = json.loads(out.getvalue())
        self.assertEqual(status, 0, kept)
        self.assertEqual(kept["failures"], [])
        for name in (failover_bench.FIRST_WRITE, failover_bench.FIRST_ANSWER):
            (millis,) = kept["events"][name]["Quorate, 5 agents"]
            self.assertGreater(millis, 1, name)
            self.assertLess(millis, 60000, name)
        whole = kept["events"]["MiB of the leader's memory in all"]
        (two,), (five,) = whole.values()
        (each,) = kept["events"][failover_bench.MEMORY % (2, 2)].values()
        self.assertAlmostEqual(each[0], (five - two) * 1024 / 3)
        text = failover_bench.table(_Kept(kept))
        self.assertIn("5 agents", text)
        self.assertIn("median", text)


class _Kept:
    def __init__(self, kept):
        self.events = kept["events"]
        self.failures = kept["failures"]


if __name__ == "__main__":
    unittest.main()
