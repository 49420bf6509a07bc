"""The mesos command, on real processes."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from prod.e2e.harness import HOST, RUNFILES, await_true, free_base_port
from prod.local import cluster as local
from prod.local import processes

HEALTHY, ERROR, USAGE, DEGRADED, UNAVAILABLE = range(5)


def mesos(*arguments, env=None):
    return subprocess.run(
        [RUNFILES / "prod/mesos", *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=60,
        env={**os.environ, **(env or {})})


class MesosTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        base = free_base_port(8)
        cls.cluster = local.LocalCluster(
            folder, RUNFILES / "prod",
            local.Layout(base_port=base, zookeeper=True, zk_port=base + 7,
                         master_flags=("--zk_session_timeout=2secs",)))
        cls.addClassCleanup(cls.cluster.down)
        cls.cluster.up()
        layout = cls.cluster.layout
        cls.masters = ["%s:%d" % (HOST, layout.master_port(i))
                       for i in range(layout.masters)]

    def ask(self, *arguments, master=None, status=HEALTHY):
        done = mesos(*arguments, "--master=" + (master or self.masters[0]))
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def test_tables(self):
        done = subprocess.run(
            [RUNFILES / "prod/mesos-execute",
             "--master=" + self.cluster.layout.url, "--name=hello",
             "--command=true"], stdout=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        for master in [*self.masters, self.cluster.layout.url]:
            lines = self.ask("agents", master=master).splitlines()
            self.assertEqual(len(lines), 3, lines)
            self.assertTrue(lines[0].startswith("ID "), lines)
            column = lines[0].index("STATE")
            for line in lines[1:]:
                self.assertTrue(line[column:].startswith("active "), lines)
        self.assertNotIn("hello", self.ask("tasks"))
        self.assertRegex(self.ask("tasks", "--all"), r"hello +hello +finished ")
        self.assertEqual(
            json.loads(self.ask("tasks", "--json"))["tasks"], [])
        self.assertIn(" ended ", self.ask("frameworks", "--all"))
        self.assertIn("VOTES", self.ask("log"))
        self.assertEqual(len(json.loads(self.ask("log", "--json"))["members"]),
                         3)
        self.assertEqual(self.ask("version").count("1.12.0"), 4)

    def test_quorum_and_masters_name_all(self):
        text = self.ask("quorum")
        self.assertTrue(text.startswith("healthy: "), text)
        self.assertIn("goes on when 1 more fails", text)
        for master in self.masters:
            self.assertIn(master, text)
        text = self.ask("masters")
        self.assertEqual(text.count(" follower "), 2, text)
        self.assertEqual(text.count(" leader "), 1, text)
        view = json.loads(self.ask("quorum", "--json"))
        self.assertEqual(view["status"], "healthy")
        self.assertEqual(len(view["masters"]), 3)

    def test_what_a_lost_master_looks_like(self):
        leader = self.cluster.await_leader()
        lost, other = [i for i in range(3) if i != leader]
        self.cluster.masters[lost].signal(signal.SIGKILL)
        self.addCleanup(self.cluster.await_leader)
        self.addCleanup(self.cluster.start_master, lost)
        seen = {}

        def degraded():
            seen["quorum"] = mesos("quorum", "--master=" + self.masters[other])
            return (seen["quorum"].returncode == DEGRADED
                    and "does not answer; it was last" in seen["quorum"].stdout)

        await_true("the leader misses it", degraded)
        text = seen["quorum"].stdout
        self.assertTrue(text.startswith("degraded: "), text)
        self.assertIn("goes on when none of them fails", text)
        self.assertIn("%s does not answer; it was last" % self.masters[lost],
                      text)
        self.assertIn("\n  -> start it", text)
        self.assertRegex(self.ask("masters", master=self.masters[other],
                                  status=DEGRADED), "no answer")
        # The one that is lost may be the one that was named first.
        both = self.masters[lost] + "," + self.masters[other]
        self.assertIn("active", self.ask("agents", master=both))

        self.cluster.masters[leader].signal(signal.SIGKILL)
        self.addCleanup(self.cluster.start_master, leader)
        await_true("nobody leads", lambda: mesos(
            "quorum", "--master=" + self.masters[other]).returncode
            == UNAVAILABLE)
        done = mesos("tasks", "--master=" + self.masters[other])
        self.assertEqual(done.returncode, ERROR)
        self.assertIn("mesos: no master leads\n  ", done.stderr)

    def test_masters_that_are_not_one_cluster(self):
        folder = pathlib.Path(
            tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR")))
        base = free_base_port(3)
        alone = ["%s:%d" % (HOST, base + i) for i in range(3)]
        for i, master in enumerate(alone):
            process = processes.Process("alone%d" % i, folder / str(i))
            process.start([
                str(RUNFILES / "prod/mesos-master"), "--ip=" + HOST,
                "--port=%d" % (base + i), "--hostname=" + HOST,
                "--work_dir=%s" % (process.folder / "work")])
            self.addCleanup(processes.stop, [process], 5)
            await_true("it leads", lambda master=master: mesos(
                "quorum", "--master=" + master).returncode == HEALTHY)
        every = ",".join(alone)
        for command in ("quorum", "masters"):
            text = self.ask(command, master=every, status=UNAVAILABLE)
            self.assertIn("critical: these masters are of 3 clusters: ", text)
            for master in alone:
                self.assertIn(master + " (leads) of ", text)
            (problem,) = json.loads(self.ask(
                command, "--json", master=every,
                status=UNAVAILABLE))["disagreements"]
            self.assertEqual(problem["kind"], "several clusters")
        done = mesos("agents", "--master=" + every)
        self.assertEqual(done.returncode, HEALTHY)
        self.assertIn("of 3 clusters: ", done.stderr)
        self.assertRegex(done.stderr, "this is what %s:[0-9]+ says" % HOST)
        self.assertEqual(mesos("agents", "--master=" + alone[0]).stderr, "")

    def test_output_that_cannot_be_written_is_an_error(self):
        reader, closed = os.pipe()
        os.close(reader)
        self.addCleanup(os.close, closed)
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        for output in (full, closed):
            for command in ("quorum", "masters", "agents", "version", "log"):
                for flags in ([], ["--json"]):
                    done = subprocess.run(
                        [RUNFILES / "prod/mesos", command, *flags,
                         "--master=" + self.masters[0]], stdout=output,
                        stderr=subprocess.PIPE, text=True, timeout=60)
                    self.assertEqual(done.returncode, ERROR, command)
                    self.assertIn("cannot write to standard output",
                                  done.stderr)
            done = subprocess.run(
                [RUNFILES / "prod/mesos", "--help"], stdout=output,
                stderr=subprocess.PIPE, timeout=60)
            self.assertNotEqual(done.returncode, 0)

    def test_the_environment_names_the_masters(self):
        done = mesos("masters", env={"MESOS_MASTER": self.masters[1],
                                     "MESOS_WORK_DIR": "/nowhere"})
        self.assertEqual(done.returncode, HEALTHY, done.stderr)
        self.assertIn(" leader ", done.stdout)

    def test_refuses_what_cannot_be_meant(self):
        for arguments, text in [
                ([], "usage:"),
                (["dance"], "no command 'dance'"),
                (["agents", "again"], "again"),
                (["agents", "--wide"], "wide"),
                (["agents", "--timeout=0secs"], "timeout"),
                (["agents", "--master=zk://host"], "zk://"),
                (["agents", "--master=host:port"], "port")]:
            with self.subTest(arguments=arguments):
                done = mesos(*arguments)
                self.assertEqual(done.returncode, USAGE, done.stderr)
                self.assertIn(text, done.stderr)
        done = mesos("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("exit status", done.stdout)

    def test_says_who_does_not_answer_and_why(self):
        free = free_base_port(1)
        agent = self.cluster.layout.agent_port(0)
        with socket.create_server((HOST, 0)) as garbage:
            def answer():
                while True:
                    try:
                        connection, _ = garbage.accept()
                    except OSError:
                        return
                    with connection:
                        connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                        while connection.recv(4096):
                            pass
            threading.Thread(target=answer, daemon=True).start()
            for port, text in [
                    (free, "cannot be reached"),
                    (agent, "not as a master"),
                    (garbage.getsockname()[1], "not as a master")]:
                with self.subTest(text=text):
                    done = mesos("quorum", "--master=%s:%d" % (HOST, port))
                    self.assertEqual(done.returncode, ERROR, done.stdout)
                    self.assertIn("no master answers", done.stderr)
                    self.assertIn("%s:%d " % (HOST, port), done.stderr)
                    self.assertIn(text, done.stderr)
        with socket.create_server((HOST, 0)) as silent:
            done = mesos("agents", "--timeout=1secs", "--json",
                         "--master=%s:%d" % (HOST, silent.getsockname()[1]))
            self.assertEqual(done.returncode, ERROR)
            self.assertIn("does not answer in time",
                          json.loads(done.stdout)["error"])
        done = mesos("agents", "--master=no-such-host.invalid:5050")
        self.assertEqual(done.returncode, ERROR)
        self.assertIn("no-such-host.invalid", done.stderr)

    def test_zookeeper_without_masters(self):
        zk = "zk://%s:%d" % (HOST, self.cluster.layout.zk_port)
        done = mesos("quorum", "--master=%s/nothing/here" % zk)
        self.assertEqual(done.returncode, ERROR)
        self.assertIn("no master is announced in ZooKeeper at /nothing/here",
                      done.stderr)
        done = mesos("quorum", "--timeout=1secs",
                     "--master=zk://%s:%d/mesos" % (HOST, free_base_port(1)))
        self.assertEqual(done.returncode, ERROR)
        self.assertIn("ZooKeeper does not answer", done.stderr)
