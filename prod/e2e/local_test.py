"""mesos-local: a cluster of processes that ends when it ends."""
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from prod.e2e.framework import get_json
from prod.e2e.harness import HOST, RUNFILES, await_true, free_base_port


def command_lines():
    """Of all processes: pid and command line."""
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # It has ended meanwhile.
        yield int(entry.parent.name), line


def running(*words):
    """The pids of processes whose command line has all of the words."""
    return [pid for pid, line in command_lines()
            if all(word in line for word in words)]


class LocalTest(unittest.TestCase):
    def test_runs_restarts_and_ends_its_processes(self):
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        port = free_base_port(3)
        local = subprocess.Popen(
            [RUNFILES / "prod/mesos-local", "--work_dir=" + folder,
             "--port=%d" % port, "--num_agents=2", "--quiet"])
        self.addCleanup(local.kill)

        def active_agents():
            try:
                agents = get_json((HOST, port), "/slaves")["slaves"]
            except (OSError, AssertionError):
                return None
            return sum(a["active"] for a in agents)

        await_true("two agents are registered", lambda: active_agents() == 2)
        execute = [RUNFILES / "prod/mesos-execute",
                   "--master=%s:%d" % (HOST, port)]
        subprocess.run([*execute, "--name=short", "--command=true"],
                       check=True, stdout=subprocess.DEVNULL, timeout=60)

        (agent,) = running("mesos-agent", "--port=%d" % (port + 1))
        os.kill(agent, signal.SIGKILL)
        await_true("the agent is missed", lambda: active_agents() == 1)
        await_true("the agent is back", lambda: active_agents() == 2)

        waiting = subprocess.Popen(
            [*execute, "--name=long", "--command=sleep 987654"],
            stdout=subprocess.DEVNULL)
        self.addCleanup(waiting.kill)
        await_true("the task runs", lambda: running("/bin/sh", "sleep 987654")
                   or running("sh -c", "sleep 987654"))
        local.send_signal(signal.SIGTERM)
        self.assertEqual(local.wait(30), 0)
        waiting.kill()
        waiting.wait()
        await_true("nothing is left", lambda: not running(folder)
                   and not running("sleep 987654"))

    def test_refuses_what_cannot_work(self):
        for flags, text in [
                ([], "work_dir"),
                (["--work_dir=/tmp/x", "--zk=localhost"], "zk://"),
                (["--work_dir=/tmp/x", "--num_masters=0"], "at least 1")]:
            done = subprocess.run([RUNFILES / "prod/mesos-local", *flags],
                                  stderr=subprocess.PIPE, text=True, timeout=10)
            self.assertEqual(done.returncode, 1)
            self.assertIn(text, done.stderr)
