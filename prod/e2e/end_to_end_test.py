"""The promises of the operational guide, on real processes.

One cluster (three masters, two agents) serves all tests, each of which leaves
it whole; once with ZooKeeper to elect the leader, and once without.
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import unittest
import urllib.parse

from prod.e2e.framework import Framework, get_json
from prod.e2e.harness import HOST, RUNFILES, await_true, free_base_port
from prod.local import cluster as local

SESSION_TIMEOUT = "2secs"


class Promises:
    @classmethod
    def setUpClass(cls):
        # A short path: what a unix socket or a process listing can bear.
        cls.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        base = free_base_port(8)
        cls.cluster = local.LocalCluster(
            cls.folder, RUNFILES / "prod",
            local.Layout(
                base_port=base, zookeeper=cls.zookeeper, zk_port=base + 7,
                master_flags=("--zk_session_timeout=" + SESSION_TIMEOUT,)))
        cls.addClassCleanup(cls.cluster.down)
        cls.cluster.up()

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=self.folder))

    def run(self, result=None):
        failures = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > failures:
            for process in self.cluster.processes():
                print("--- %s\n%s" % (process.name, process.log_tail()))

    # What the tests speak about.

    def masters(self):
        layout = self.cluster.layout
        return [(HOST, layout.master_port(i)) for i in range(layout.masters)]

    def framework(self, name):
        framework = Framework(self.masters(), name)
        framework.subscribe()
        self.addCleanup(self.tear_down, framework)
        return framework

    @staticmethod
    def tear_down(framework):
        framework.call({"type": "TEARDOWN"})
        framework.close()

    def state(self):
        return get_json((HOST, self.cluster.layout.master_port(
            self.cluster.await_leader())), "/state")

    def agent_ids(self):
        return sorted(a["id"] for a in self.state()["slaves"] if a["active"])

    def agent_of(self, agent_id):
        """The index of the agent with this id."""
        port = next(a["port"] for a in self.state()["slaves"]
                    if a["id"] == agent_id)
        return next(i for i in range(self.cluster.layout.agents)
                    if self.cluster.layout.agent_port(i) == port)

    def long_task(self):
        """A command that notes each start and runs until told to end."""
        starts, stop = self.work / "starts", self.work / "stop"
        command = ("echo started >> %s; while [ ! -e %s ]; do sleep 0.1; done"
                   % (starts, stop))
        return command, starts, stop

    # The tests.

    def test_mesos_execute_runs_a_command(self):
        done = subprocess.run(
            [RUNFILES / "prod/mesos-execute", "--master=" + self.cluster.layout.url,
             "--name=hello", "--command=echo hello; sleep 1"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)
        states = re.findall(r"TASK_[A-Z]+", done.stdout)
        self.assertEqual(
            [s for i, s in enumerate(states) if s not in states[:i]],
            ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], done.stdout)
        self.assertEqual(self.stdout_of("hello"), "hello\n")

    def stdout_of(self, task_id):
        """Through /state and /files/read of the agent that ran it."""
        for i in range(self.cluster.layout.agents):
            agent = (HOST, self.cluster.layout.agent_port(i))
            state = get_json(agent, "/state")
            for framework in (state["frameworks"]
                              + state["completed_frameworks"]):
                for executor in (framework["executors"]
                                 + framework["completed_executors"]):
                    if executor["id"] == task_id:
                        path = urllib.parse.quote(
                            executor["directory"] + "/stdout")
                        return get_json(
                            agent, "/files/read?path=%s&offset=0" % path
                        )["data"]
        raise AssertionError("no agent has an executor " + task_id)

    def test_mesos_execute_reports_failure(self):
        done = subprocess.run(
            [RUNFILES / "prod/mesos-execute", "--master=" + self.cluster.layout.url,
             "--name=fails", "--command=exit 7"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("TASK_FAILED", done.stdout)
        self.assertIn("7", done.stdout)

    def test_a_task_survives_the_death_of_the_leading_master(self):
        framework = self.framework("survivor")
        command, starts, stop = self.long_task()
        framework.launch("long", command)
        framework.await_state("long", "TASK_RUNNING")
        ids_before = self.agent_ids()
        self.assertEqual(len(ids_before), 2)

        old = self.cluster.leader()
        self.cluster.masters[old].signal(signal.SIGKILL)
        framework.await_event(lambda e: e["type"] == "DISCONNECTED")
        framework_id = framework.id
        framework.subscribe()
        self.assertEqual(framework.id, framework_id)
        self.assertNotEqual(self.cluster.await_leader(), old)
        self.cluster.await_agents()
        self.assertEqual(self.agent_ids(), ids_before)

        self.assertEqual(starts.read_text(), "started\n")
        stop.touch()
        framework.await_state("long", "TASK_FINISHED")
        self.assertEqual(starts.read_text(), "started\n")
        self.assertNotIn("TASK_LOST", framework.states("long"))
        self.cluster.start_master(old)

    def test_a_task_survives_the_restart_of_its_agent(self):
        framework = self.framework("checkpointed")
        command, starts, stop = self.long_task()
        agent_id = framework.launch("steady", command)
        framework.await_state("steady", "TASK_RUNNING")
        agent = self.agent_of(agent_id)

        self.cluster.agents[agent].signal(signal.SIGKILL)
        await_true("the agent is dead",
                   lambda: not self.cluster.agents[agent].running())
        self.cluster.start_agent(agent)
        self.cluster.await_agents()
        self.assertIn(agent_id, self.agent_ids())

        stop.touch()
        framework.await_state("steady", "TASK_FINISHED")
        self.assertEqual(starts.read_text(), "started\n")
        self.assertEqual(
            [s for s in framework.states("steady")
             if s not in ("TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED")],
            [])

    def test_a_task_that_ends_while_its_agent_is_down_is_reported(self):
        framework = self.framework("ends-unseen")
        command, _, stop = self.long_task()
        agent = self.agent_of(framework.launch("unseen", command))
        framework.await_state("unseen", "TASK_RUNNING")
        self.cluster.agents[agent].signal(signal.SIGKILL)
        await_true("the agent is dead",
                   lambda: not self.cluster.agents[agent].running())
        stop.touch()
        self.cluster.start_agent(agent)
        framework.await_state("unseen", "TASK_FINISHED")

    def test_a_paused_leader_ends_itself_when_it_wakes(self):
        old = self.cluster.await_leader()
        master = self.cluster.masters[old]
        master.signal(signal.SIGSTOP)
        try:
            await_true("another leads",
                       lambda: self.cluster.leader() not in (None, old))
        finally:
            master.signal(signal.SIGCONT)
        await_true("the old leader is gone", lambda: not master.running())
        self.assertRegex(master.log_tail(), "(?i)leadership")
        self.cluster.start_master(old)
        self.cluster.await_agents()

    def test_kill_ends_a_task(self):
        framework = self.framework("killer")
        agent_id = framework.launch("victim", "sleep 1000")
        framework.await_state("victim", "TASK_RUNNING")
        self.assertEqual(framework.call(
            {"type": "KILL", "kill": {"task_id": {"value": "victim"},
                                      "agent_id": {"value": agent_id}}}), 202)
        framework.await_state("victim", "TASK_KILLED")

    def test_reconciliation_tells_the_latest_state(self):
        framework = self.framework("reconciler")
        framework.launch("known", "sleep 1000")
        framework.await_state("known", "TASK_RUNNING")
        framework.updates.clear()
        self.assertEqual(framework.call(
            {"type": "RECONCILE", "reconcile": {"tasks": []}}), 202)
        status = framework.await_state("known", "TASK_RUNNING")
        self.assertEqual(status["reason"], "REASON_RECONCILIATION")
        self.assertNotIn("uuid", status)

    def test_a_library_we_did_not_write_runs_a_task(self):
        # Through a master that does not lead: it redirects.
        leader = self.cluster.await_leader()
        other = (leader + 1) % self.cluster.layout.masters
        modules = RUNFILES / "external/node_client/node_modules"
        done = subprocess.run(
            ["node", RUNFILES / "prod/e2e/node_client/run_task.js", HOST,
             str(self.cluster.layout.master_port(other)), "echo from node"],
            env={**os.environ, "NODE_PATH": str(modules),
                 "NODE_NO_WARNINGS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=90)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("TASK_FINISHED", done.stdout)

    def test_a_protobuf_subscription(self):
        call = subprocess.run(
            ["protoc", "--encode=mesos.v1.scheduler.Call", "-I", RUNFILES,
             "core/api/scheduler.proto"],
            input=b'type: SUBSCRIBE subscribe { framework_info '
                  b'{ user: "root" name: "binary" roles: "*" '
                  b'capabilities { type: MULTI_ROLE } } }',
            stdout=subprocess.PIPE, check=True).stdout
        port = self.cluster.layout.master_port(self.cluster.await_leader())
        with socket.create_connection((HOST, port), timeout=30) as connection:
            connection.sendall(
                b"POST /api/v1/scheduler HTTP/1.1\r\nHost: master\r\n"
                b"Content-Type: application/x-protobuf\r\n"
                b"Accept: application/x-protobuf\r\n"
                b"Content-Length: %d\r\n\r\n" % len(call) + call)
            stream = connection.makefile("rb")
            self.assertIn(b"200 OK", stream.readline())
            while stream.readline().strip():
                pass
            stream.readline()  # the size of the first chunk
            record = stream.read(int(stream.readline()))
        event = subprocess.run(
            ["protoc", "--decode=mesos.v1.scheduler.Event", "-I", RUNFILES,
             "core/api/scheduler.proto"],
            input=record, stdout=subprocess.PIPE, check=True).stdout.decode()
        self.assertIn("type: SUBSCRIBED", event)
        self.assertIn("heartbeat_interval_seconds: 15", event)

    def test_standbys_redirect_and_answer_for_themselves(self):
        leader = self.cluster.await_leader()
        layout = self.cluster.layout
        for i in range(layout.masters):
            port = layout.master_port(i)
            self.assertEqual(self.status_of(port, "/health")[0], 200)
            self.assertEqual(self.status_of(port, "/version")[0], 200)
            if i != leader:
                status, location = self.status_of(port, "/state?x=1")
                self.assertEqual(status, 307)
                self.assertEqual(location, "//%s:%d/master/state?x=1" % (
                    HOST, layout.master_port(leader)))

    @staticmethod
    def status_of(port, path):
        with socket.create_connection((HOST, port), timeout=10) as connection:
            connection.sendall(b"GET %s HTTP/1.1\r\nHost: m\r\n"
                               b"Connection: close\r\n\r\n" % path.encode())
            answer = connection.makefile("rb").read().decode()
        location = re.search(r"(?m)^Location: (.*?)\r?$", answer)
        return int(answer.split()[1]), location and location.group(1)


class ZooKeeperElects(Promises, unittest.TestCase):
    zookeeper = True


class MastersElect(Promises, unittest.TestCase):
    zookeeper = False
