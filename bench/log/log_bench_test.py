"""Tests of `./dev bench log`: what it makes of numbers, and a short run with
real floors, and with a program that behaves like mesos-log."""

import contextlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

from bench.log import log_bench
from bench.log import results
from bench.log import systems
from bench.log.results import BenchError, Cell

RUNFILES = pathlib.Path.cwd()
TOOLS = systems.Tools(
    log_floor=RUNFILES / "bench/floor/log_floor",
    etcd_load=RUNFILES / "bench/log/peers/etcd_load",
    zookeeper_load=RUNFILES / "bench/log/peers/zookeeper_load",
    mesos_log=RUNFILES / "bench/log/fake_mesos_log.py")


def result(rate, p50=100.0, p99=200.0, p999=400.0, count=1000):
    return dict(zip(results.FIELDS, (rate, p50, p99, p999, count)))


def canned():
    """Three rounds of one cell, one of another, and a fail-over."""
    measured = results.Results()
    cell = Cell(3, 1024, 64)
    for rate in (90000, 120000, 100000):
        measured.add(cell, "quorate", result(rate, 500, 900, 1500))
        measured.add(cell, "etcd", result(rate / 20))
        measured.add(cell, "zookeeper", result(rate / 25))
        measured.add(cell, "floor-file", result(2 * rate, p99=450.0))
    measured.add(Cell(3, 128, 1), "etcd", result(7.5, 10.25))
    for millis in (70, 300, 80):
        measured.add_event("fail-over ms", "quorate", millis)
    return measured


class ResultsTest(unittest.TestCase):
    def test_takes_the_last_line(self):
        text = "noise\n" + json.dumps(result(12.5)) + "\n"
        self.assertEqual(results.parse_result(text), result(12.5))

    def test_refuses_what_is_no_result(self):
        without = result(1)
        del without["p99_us"]
        for text in ("", "no json", "[]", "null", json.dumps(without),
                     json.dumps(result(0, count=0))):
            with self.assertRaises(BenchError, msg=text):
                results.parse_result(text)

    def test_skips_lines_that_are_no_times(self):
        self.assertEqual(
            results.parse_acks("1.5\nhello\n\n2.25 position 7\n3.0"),
            [1.5, 2.25])

    def test_the_outage_is_the_longest_gap_after_the_kill(self):
        acks = [0.0, 5.0, 5.1, 5.2, 6.2, 6.3]
        self.assertAlmostEqual(results.outage(acks, killed=5.15), 1.0)
        # One that was on its way when the leader died does not end it.
        self.assertAlmostEqual(results.outage(acks, killed=5.05), 1.0)
        self.assertIsNone(results.outage(acks, killed=6.3))
        self.assertIsNone(results.outage([], killed=0))

    def test_median_and_extremes(self):
        self.assertEqual(results.spread([3, 1, 10]),
                         results.Spread(3, 1, 10, 3))
        self.assertEqual(results.spread([4.0, 2.0]).median, 3.0)

    def test_numbers(self):
        self.assertEqual(
            [results.number_text(n) for n in (0.5, 12.34, 99.96, 1234567)],
            ["0.50", "12.3", "100.0", "1,234,567"])

    def test_ratios(self):
        ratios = canned().ratios(Cell(3, 1024, 64))
        self.assertAlmostEqual(ratios["best peer"], 20)
        self.assertAlmostEqual(ratios["floor-file"], 0.5)
        self.assertAlmostEqual(ratios["floor-file p99"], 2)
        self.assertNotIn("floor-leveldb", ratios)

    def test_no_ratios_without_ours(self):
        self.assertEqual(canned().ratios(Cell(3, 128, 1)), {})

    def test_table(self):
        measured = canned()
        measured.failures.append("etcd, recovery: it broke")
        self.assertEqual(measured.table(), """\
3 replicas, 128 B, 1 in flight
        appends/s  lowest  highest  p50 us  p99 us  p99.9 us
  etcd       7.50    7.50     7.50    10.2     200       400

3 replicas, 1 KiB, 64 in flight
                    appends/s   lowest  highest  p50 us  p99 us  p99.9 us
  Quorate             100,000   90,000  120,000     500     900     1,500
  etcd                  5,000    4,500    6,000     100     200       400
  ZooKeeper create      4,000    3,600    4,800     100     200       400
  floor, file         200,000  180,000  240,000     100     450       400
  Quorate: 20.0 x the best peer, 50 % of the floor, file (p99 2.00 x)

3 replicas, appends/s at 1 / 64 in flight
                       128 B        1 KiB
  Quorate              - / -  - / 100,000
  etcd              7.50 / -    - / 5,000
  ZooKeeper create     - / -    - / 4,000
  floor, file          - / -  - / 200,000

fail-over ms
           median  lowest  highest  rounds
  Quorate    80.0    70.0      300       3

Failed:
  etcd, recovery: it broke
""")

    def test_json_keeps_every_round(self):
        cells = json.loads(json.dumps(canned().to_json()))["cells"]
        ours = [c for c in cells if c["system"] == "quorate"]
        self.assertEqual(len(ours), 1)
        self.assertEqual([r["appends_per_s"] for r in ours[0]["rounds"]],
                         [90000, 120000, 100000])


class QuietTest(unittest.TestCase):
    def wait(self, loads, times):
        loads, times = iter(loads), iter(times)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            quiet = log_bench.await_quiet(10, lambda: next(loads),
                                          lambda: next(times))
        return quiet, said.getvalue()

    def test_waits_until_others_are_done(self):
        self.assertEqual(self.wait([1.5, 0.7, 0.1], [0, 1, 2]), (True, ""))

    def test_gives_up_and_says_so(self):
        quiet, said = self.wait([1.5, 1.5], [0, 5, 11])
        self.assertFalse(quiet)
        self.assertIn("1.5 CPUs", said)


class OptionsTest(unittest.TestCase):
    def parse(self, *argv):
        return log_bench.parse_arguments(["--binaries=x", *argv])

    def test_everything_by_default(self):
        options = self.parse()
        self.assertEqual(options.replicas, (1, 3, 5))
        self.assertEqual(options.sizes, (128, 1024, 16384))
        self.assertEqual(options.outstanding, (1, 64))
        self.assertEqual(options.only, log_bench.PARTS)
        self.assertEqual(options.rounds, 5)

    def test_quick_is_less_and_can_be_changed(self):
        options = self.parse("--quick", "--sizes=128")
        self.assertEqual(options.replicas, (3,))
        self.assertEqual(options.sizes, (128,))
        self.assertEqual(options.only, ("appends",))

    def test_refuses_nonsense(self):
        for argument in ("--systems=raft", "--sizes=0", "--only=", "--rounds=0",
                         "--replicas=x", "--quic"):
            with self.assertRaises(SystemExit, msg=argument), \
                    contextlib.redirect_stderr(io.StringIO()):
                self.parse(argument)


class RunTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def measure(self, *argv):
        options = log_bench.parse_arguments([
            "--binaries=x", "--folder=%s" % self.folder, "--rounds=1",
            "--seconds=0.3", "--patience=0", "--mib=1", *argv])
        with contextlib.redirect_stderr(io.StringIO()):
            measured = log_bench.measure(options, TOOLS)
        self.assertEqual(measured.failures, [])
        # Whatever was written is gone.
        self.assertEqual([p.name for p in self.folder.iterdir()], ["lock"])
        return measured

    def test_floors_and_ours(self):
        measured = self.measure(
            "--quick", "--systems=quorate,floor-file,floor-leveldb")
        for outstanding in (1, 64):
            cell = Cell(3, 1024, outstanding)
            self.assertEqual(measured.median(cell, "quorate"), 1000)
            for floor in results.FLOORS:
                self.assertGreater(measured.median(cell, floor), 0)
            self.assertIn("floor-file", measured.ratios(cell))

    def test_events(self):
        measured = self.measure(
            "--systems=quorate", "--only=catch-up,fail-over,recovery")
        self.assertEqual(len(measured.events), 3)
        for systems_of_event in measured.events.values():
            self.assertGreater(systems_of_event["quorate"][0], 0)

    def test_one_run_at_a_time(self):
        with log_bench.work_folder(self.folder):
            with self.assertRaisesRegex(BenchError, "another run"):
                with log_bench.work_folder(self.folder):
                    pass

    def test_removes_what_a_killed_run_left(self):
        left = self.folder / "run-killed"
        left.mkdir()
        with log_bench.work_folder(self.folder) as mine:
            self.assertFalse(left.exists())
            self.assertTrue(mine.exists())
        self.assertFalse(mine.exists())

    def test_a_missing_program_fails_only_its_part(self):
        options = log_bench.parse_arguments([
            "--binaries=x", "--folder=%s" % self.folder, "--rounds=1",
            "--quick", "--seconds=0.1", "--patience=0",
            "--systems=quorate,floor-file"])
        missing = systems.Tools(TOOLS.log_floor, TOOLS.etcd_load,
                                TOOLS.zookeeper_load,
                                self.folder / "not-there")
        with contextlib.redirect_stderr(io.StringIO()):
            measured = log_bench.measure(options, missing)
        self.assertEqual(len(measured.failures), 1)
        self.assertIn("Quorate, 3 replicas", measured.failures[0])
        self.assertGreater(
            measured.median(Cell(3, 1024, 1), "floor-file"), 0)

    def test_processes_end_with_the_one_that_starts_them(self):
        # A driver that starts a process, says so, and waits to be killed.
        code = ("from bench.log import systems; from prod.local import "
                "processes; import signal; "
                "p = processes.Process('p', %r); "
                "p.start(systems.bound(['sleep', '1000'])); "
                "print(p.pid(), flush=True); signal.pause()"
                % str(self.folder / "p"))
        with subprocess.Popen([sys.executable, "-c", code],
                              stdout=subprocess.PIPE) as driver:
            pid = int(driver.stdout.readline())
            descriptor = os.pidfd_open(pid)
            self.addCleanup(os.close, descriptor)
            driver.send_signal(signal.SIGKILL)
        started = systems.processes.start_time(pid)
        if started is not None:
            with systems.processes.Handle(pid, started) as handle:
                self.assertTrue(handle.wait(30))


if __name__ == "__main__":
    unittest.main()
