"""Tests of what `./dev down` relies on: exactly the right process dies."""

import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from prod.local import processes

IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
LEAVES_A_THREAD = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


class ProcessTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.process = processes.Process("p", self.folder)
        self.addCleanup(self.process.signal, signal.SIGKILL)

    def test_starts_and_stops(self):
        self.assertFalse(self.process.running())
        self.process.start(["sleep", "1000"])
        self.assertTrue(self.process.running())
        self.assertTrue(self.process.stop(grace=10))
        self.assertFalse(self.process.running())
        self.assertFalse(self.process.stop(grace=10))

    def test_a_second_object_finds_it(self):
        self.process.start(["sleep", "1000"])
        again = processes.Process("p", self.folder)
        self.assertEqual(again.pid(), self.process.pid())
        self.assertTrue(again.stop(grace=10))
        self.assertFalse(self.process.running())

    def test_kills_what_ignores_term(self):
        self.process.start(["sh", "-c", IGNORES_TERM])
        with self.process.handle() as handle:
            while "ready" not in self.process.log_tail():
                self.assertFalse(handle.wait(0.01))
            self.assertTrue(self.process.stop(grace=0.2))
            self.assertTrue(handle.wait(0))

    def test_spares_another_process_with_the_same_pid(self):
        with subprocess.Popen(["sleep", "1000"]) as other:
            self.addCleanup(other.kill)
            started = processes.start_time(other.pid)
            (self.folder / "pid").write_text(
                "%d %d\n" % (other.pid, started - 1)
            )
            self.assertFalse(self.process.running())
            self.assertFalse(self.process.stop(grace=10))
            self.assertIsNone(other.poll())
            other.kill()

    def test_ignores_a_torn_pid_file(self):
        (self.folder / "pid").write_text("12")
        self.assertFalse(self.process.running())

    def test_finds_by_environment(self):
        value = str(self.folder)
        self.process.start(["sleep", "1000"], {"MARK": value, "PATH": "/bin"})
        # Until exec, the child still has the environment of this program.
        found = []
        while not found:
            found = processes.handles_by_environment(
                lambda env: env.get("MARK") == value
            )
        self.assertEqual([h.pid for h in found], [self.process.pid()])
        processes.stop_all(found, grace=10)
        for handle in found:
            handle.close()

    def test_runs_while_one_of_its_threads_does(self):
        # As a thread that waits for the disk when the process is told to end:
        # its sockets are still open.
        self.process.start(["python3", "-c", LEAVES_A_THREAD])
        pid = self.process.pid()
        stat = pathlib.Path("/proc/%d/stat" % pid)
        while ") Z " not in stat.read_text():
            time.sleep(0.01)
        self.assertTrue(self.process.running())
        self.assertTrue(self.process.stop(grace=10))
        self.assertFalse(self.process.running())

    def test_start_time_of_nobody(self):
        self.assertIsNotNone(processes.start_time(os.getpid()))
        self.assertIsNone(processes.start_time(2**22 + 1))


if __name__ == "__main__":
    unittest.main()
