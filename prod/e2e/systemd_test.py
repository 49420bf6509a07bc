"""The units, and what programs tell systemd."""
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from prod.e2e.harness import HOST, RUNFILES, await_true, free_base_port

UNITS = RUNFILES / "prod/systemd"
PROGRAMS = ("mesos-master", "mesos-agent")


class UnitsTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(
            tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")))

    def test_systemd_finds_no_fault(self):
        for name in PROGRAMS:
            unit = self.folder / (name + ".service")
            # The program has to be there, and is not installed here.
            unit.write_text((UNITS / unit.name).read_text().replace(
                "/usr/sbin/" + name, str((RUNFILES / "prod" / name).resolve())))
            done = subprocess.run(
                ["systemd-analyze", "verify", unit], stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=60)
            about = [line for line in done.stdout.splitlines()
                     if name in line]
            self.assertEqual((done.returncode, about), (0, []), done.stdout)

    def test_it_would_find_one(self):
        unit = self.folder / "bad.service"
        unit.write_text("[Service]\nExecStart=/bin/true\nKilMode=process\n")
        done = subprocess.run(
            ["systemd-analyze", "verify", unit], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertIn("KilMode", done.stdout)

    def test_tasks_outlive_the_agent_s_unit(self):
        text = (UNITS / "mesos-agent.service").read_text()
        for line in ("KillMode=process", "OOMPolicy=continue", "Delegate=yes"):
            self.assertIn("\n%s\n" % line, text)
        for name in PROGRAMS:
            text = (UNITS / (name + ".service")).read_text()
            for line in ("Restart=always", "StartLimitIntervalSec=0",
                         "Type=notify", "WatchdogSec=30"):
                self.assertIn("\n%s\n" % line, text)

    def test_the_defaults_name_flags_that_exist(self):
        for name in PROGRAMS:
            known = subprocess.run(
                [RUNFILES / "prod" / name, "--help"], stdout=subprocess.PIPE,
                text=True, check=True).stdout
            for file in ("mesos", name):
                for line in (UNITS / (file + ".default")).read_text(
                        ).splitlines():
                    line = line.removeprefix("#")
                    if line.startswith("MESOS_"):
                        flag = line.split("=")[0].removeprefix("MESOS_").lower()
                        self.assertIn("--%s" % flag, known)


class NotifyTest(unittest.TestCase):
    """A socket in the place of systemd's."""

    def setUp(self):
        self.folder = pathlib.Path(
            tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.settimeout(30)

    def start(self, program, *flags, address=None):
        if address is None:
            address = str(pathlib.Path(tempfile.mkdtemp(dir="/tmp")) / "n")
            self.addCleanup(os.rmdir, os.path.dirname(address))
            self.addCleanup(os.unlink, address)
        self.socket.bind(address.replace("@", "\0"))
        process = subprocess.Popen(
            [RUNFILES / "prod" / program, "--ip=" + HOST,
             "--port=%d" % free_base_port(1), "--hostname=" + HOST,
             "--work_dir=%s" % (self.folder / "work"), *flags],
            env={**os.environ, "NOTIFY_SOCKET": address,
                 "WATCHDOG_USEC": "600000"},
            stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def heard(self):
        return self.socket.recv(1000).decode()

    def test_a_master_serves_turns_and_stops(self):
        master = self.start("mesos-master")
        self.assertEqual(self.heard(), "READY=1")
        for _ in range(5):
            self.assertEqual(self.heard(), "WATCHDOG=1")
        # A loop that does not turn feeds no watchdog.
        master.send_signal(signal.SIGSTOP)
        self.socket.settimeout(1.5)
        with self.assertRaises(TimeoutError):
            for _ in range(5):
                self.heard()
        master.send_signal(signal.SIGCONT)
        self.assertEqual(self.heard(), "WATCHDOG=1")
        master.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while (said := self.heard()) == "WATCHDOG=1":
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(said, "STOPPING=1")
        self.assertEqual(master.wait(30), 0)

    def test_an_agent_at_an_abstract_address(self):
        self.start("mesos-agent", "--master=%s:1" % HOST,
                   "--runtime_dir=%s" % (self.folder / "run"),
                   "--launcher_dir=%s" % (RUNFILES / "prod"),
                   address="@quorate-test-%d" % os.getpid())
        self.assertEqual(self.heard(), "READY=1")
        self.assertEqual(self.heard(), "WATCHDOG=1")


class ExitTest(unittest.TestCase):
    """How a leader ends that has lost its leadership."""

    def setUp(self):
        self.folder = pathlib.Path(
            tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")))
        base = free_base_port(3)
        self.ports = [base + i for i in range(3)]
        self.masters = {port: self.start(port) for port in self.ports}

    def log(self, port):
        return self.folder / ("%d.log" % port)

    def start(self, port):
        with open(self.log(port), "wb") as log:
            process = subprocess.Popen(
                [RUNFILES / "prod/mesos-master", "--ip=" + HOST,
                 "--hostname=" + HOST, "--port=%d" % port,
                 "--work_dir=%s" % (self.folder / str(port)),
                 "--masters=" + ",".join(
                     "%s:%d" % (HOST, p) for p in self.ports)], stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def leader(self):
        """Its port, if all tell the same one."""
        told = set()
        for port in self.ports:
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            try:
                connection.request("GET", "/redirect")
                told.add(connection.getresponse().getheader("Location"))
            except OSError:
                told.add(None)
            finally:
                connection.close()
        where = told.pop()
        return int(where.rsplit(":", 1)[1]) if where and not told else None

    def test_a_leader_without_a_quorum(self):
        await_true("a master leads", self.leader)
        leader = self.leader()
        for port in self.ports:
            if port != leader:
                self.masters[port].kill()
        self.assertEqual(self.masters[leader].wait(30), 3)
        errors = [line for line in self.log(leader).read_text().splitlines()
                  if line.startswith("E")]
        self.assertEqual(len(errors), 1, errors)
        self.assertIn("lost leadership", errors[0])
