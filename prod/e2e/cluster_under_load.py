"""Load on a cluster of hosts, and what the tests of high availability share.

A framework launches short tasks all the time, and a few that run to the end;
agents that only exist on the wire join, so that the registry is written. All
of it is noted. In the end, when the network is whole again, the history is
judged: load_history.py.

    class MyTest(HighAvailabilityTest):
        def test_something(self):
            cluster = self.cluster(masters=3)
            with self.load(cluster) as load:
                cluster.await_leader().kill()
                load.await_progress()
"""
import collections
import contextlib
import os
import pathlib
import shutil
import tempfile
import threading
import time
import unittest

from prod.e2e import hosts
from prod.e2e.cluster_on_hosts import (SESSION_SECONDS, Cluster, Machine,
                                       get_json)
from prod.e2e.framework import Framework, scalar
from prod.e2e.harness import RUNFILES, await_true
from prod.e2e.load_history import (NEVER_RAN, TERMINAL, History, Task,
                                   violations)

LONG_TASKS = 4
# The framework's patience with one call.
CALL_SECONDS = 3
# Launches in one offer, and between launches.
LAUNCHES = 2
LAUNCH_INTERVAL = 0.3
# What a task uses.
TASK_CPUS, TASK_MEM = 0.05, 16
# How long it waits for what is told in any case, before it asks.
PATIENCE = 2
# How long calm may take to return, once the network is whole.
CALM_SECONDS = 120


class Load:
    """See the top of the file. Runs until finish()."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.history = History()
        self._tally = cluster.folder / "tasks"
        self._tally.mkdir()
        self._framework = None
        self._noted_updates = 0
        self._told = None
        self._launching = True
        self._ended = threading.Event()
        self._crowds = []
        self._threads = [threading.Thread(target=target, daemon=True)
                         for target in (self._watch, self._drive)]

    def start(self):
        self.history.agents_before = self.cluster.registered()
        self.join_by(self.cluster.url)
        for thread in self._threads:
            thread.start()
        await_true("tasks run", lambda: self._finished() > 0
                   and len(self._running("long")) == LONG_TASKS)

    def join_by(self, url):
        """From now on agents join by this --master, until it is another one.

        Those that have joined by the one before are gone, but not forgotten.
        """
        self._stop_crowd()
        number = len(self._crowds)
        crowd = Machine(self.cluster, "crowd%d" % number)
        self._crowds.append(crowd)
        crowd.launch([
            RUNFILES / "prod/e2e/agents", "--master=" + url, "--count=2",
            "--first=%d" % (10000 * number), "--join_every=200ms",
            "--registration_backoff_factor=200ms",
            "--zk_session_timeout=%dsecs" % SESSION_SECONDS])

    def _stop_crowd(self):
        if self._crowds:
            self._crowds[-1].process.stop(grace=5)

    def stop(self):
        self._ended.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(60)
        self._stop_crowd()

    def await_progress(self, seconds=60.0):
        """A task is launched and finished, and an agent is admitted, anew."""
        tasks = len(self.history.tasks)
        admitted = len(self._crowd_lines("admitted"))

        def new_task_finished():
            return any("TASK_FINISHED" in task.states for task in
                       list(self.history.tasks.values())[tasks:])
        try:
            await_true("a new task has finished", new_task_finished, seconds)
        except AssertionError as error:
            raise AssertionError("%s; %s" % (error, self._explain())) from None
        await_true("a new agent is admitted",
                   lambda: len(self._crowd_lines("admitted")) > admitted,
                   seconds)

    def _explain(self):
        """What the framework sees."""
        framework = self._framework
        return "the leader is told to be %s; %s" % (
            self._told, "not subscribed" if framework is None else
            "subscribed at %s, offers %s, the last tasks %s" % (
                framework.leader, list(framework.offers.values())[:3],
                list(self.history.tasks.items())[-4:]))

    def admitted(self):
        """How many agents have heard that the registry holds them."""
        return len(self._crowd_lines("admitted"))

    # The framework.

    def _watch(self):
        """Finds out who leads, as told by most masters."""
        while not self._ended.wait(0.3):
            self._told = self.cluster.told_leader() or self._told

    def _drive(self):
        while not self._ended.wait(LAUNCH_INTERVAL):
            if self._follow() and self._launching:
                self._launch()

    def _follow(self):
        """Subscribes at the leader, if it does not lead us already."""
        if self._told is None:
            return False
        host, port = self._told.rsplit(":", 1)
        leader = (host, int(port))
        framework = self._framework
        if framework is None:
            framework = Framework([leader], "load", timeout=CALL_SECONDS)
        disconnected = self._drain(framework)
        if framework.leader == leader and not disconnected:
            return True
        framework.close()
        framework.masters = [leader]
        try:
            framework.subscribe(timeout=1)
        except AssertionError:
            framework.leader = None
            return False
        finally:
            self._framework = framework if framework.id else None
        return True

    def _drain(self, framework):
        disconnected = False
        while not framework.events.empty():
            event = framework.events.get()
            disconnected |= event["type"] in ("DISCONNECTED", "ERROR")
        # Its thread may be adding more.
        updates = framework.updates[self._noted_updates:]
        self._noted_updates += len(updates)
        for status in updates:
            task = self.history.tasks.get(status["task_id"]["value"])
            if task is not None:
                task.states.append(status["state"])
        return disconnected

    def _launch(self):
        for offer_id, offer in list(self._framework.offers.items()):
            # Also a small one: what ends is offered bit by bit.
            fit = min(LAUNCHES, round(scalar(offer, "cpus") / TASK_CPUS),
                      round(scalar(offer, "mem") / TASK_MEM))
            if fit > 0:
                self._framework.offers.pop(offer_id, None)
                agent = offer["agent_id"]["value"]
                self._framework.launch_on(
                    offer, [self._new_task(agent) for _ in range(fit)])
                return

    def _new_task(self, agent):
        tasks = self.history.tasks
        long = sum(t.long for t in tasks.values()) < LONG_TASKS
        name = "%s-%d" % ("long" if long else "short", len(tasks))
        tasks[name] = Task(long, agent)
        tally = self._tally / name
        wait = ("while [ ! -e %s/stop ]; do sleep 0.3; done" % self._tally
                if long else "sleep 0.1")
        command = "echo >> %s.starts; %s; echo >> %s.ends" % (
            tally, wait, tally)
        return name, command, TASK_CPUS, TASK_MEM

    def _finished(self):
        return sum("TASK_FINISHED" in task.states
                   for task in self.history.tasks.values())

    def _running(self, kind):
        return [name for name, task in self.history.tasks.items()
                if name.startswith(kind) and "TASK_RUNNING" in task.states
                and not TERMINAL & set(task.states)]

    # The end.

    def finish(self):
        """Waits for calm, ends the long tasks, and judges: violations."""
        self.cluster.await_leader(seconds=CALM_SECONDS)
        self.cluster.await_agents(seconds=CALM_SECONDS)
        self._launching = False
        self._settle(lambda task: task.long
                     and "TASK_RUNNING" in task.states)
        self._note_known_tasks()
        (self._tally / "stop").touch()
        self._settle(lambda task: False)
        self.history.agents_after = self.cluster.registered()
        self._note_epochs()
        self._note_registry()
        for name, task in self.history.tasks.items():
            task.starts = _lines(self._tally / (name + ".starts"))
            task.ends = _lines(self._tally / (name + ".ends"))
        return violations(self.history)

    def _settle(self, may_run):
        """Until each task has ended, was never there, or may run."""
        def open_tasks():
            return [name for name, task in self.history.tasks.items()
                    if not (TERMINAL | NEVER_RAN) & set(task.states)
                    and not may_run(task)]

        begun = time.monotonic()

        def settled():
            # What a fail-over has swallowed is told to those who ask.
            framework = self._framework
            late = time.monotonic() > begun + PATIENCE
            if late and open_tasks() and framework and framework.leader:
                # Of an agent that is there, which can tell.
                framework.call({"type": "RECONCILE", "reconcile": {"tasks": [
                    {"task_id": {"value": name},
                     "agent_id": {"value": self.history.tasks[name].agent}}
                    for name in open_tasks()]}})
                time.sleep(1)
            return not open_tasks()
        try:
            await_true("", settled, CALM_SECONDS)
        except AssertionError:
            # The judge will tell.
            print("not settled: %s" % open_tasks())

    def _note_known_tasks(self):
        """By the state of the leader; it may be busy just then."""
        def known():
            for leader in self.cluster.leaders():
                found = get_json(leader.ip, leader.port,
                                 "/tasks?limit=-1", timeout=10)
                if found is None:
                    return False
                for task in found["tasks"]:
                    if (task["id"] in self.history.tasks
                            and task["state"] == "TASK_RUNNING"):
                        self.history.tasks[task["id"]].known_running = True
                return True
            return False
        await_true("the leader tells its tasks", known)

    def _note_epochs(self):
        for machine in self.cluster.agents:
            self.history.obeyed[machine.name] = machine.obeyed()
        crowd = collections.defaultdict(list)
        for what in ("admitted", "registered"):
            for time_, agent, epoch in self._crowd_lines(what):
                crowd[agent].append((time_, int(epoch)))
        for agent, obeyed in crowd.items():
            self.history.obeyed[agent] = [e for _, e in sorted(obeyed)]
        for master in self.cluster.masters + self.cluster.retired:
            self.history.reigns[master.name] = master.reigns()
        self.history.refused = [line[1] for line
                                in self._crowd_lines("refused")]

    def _note_registry(self):
        self._stop_crowd()
        self.history.admitted = {line[1] for line
                                 in self._crowd_lines("admitted")}
        for leader in self.cluster.leaders():
            slaves = get_json(leader.ip, leader.port, "/slaves", timeout=30)
            for kind in ("slaves", "recovered_slaves"):
                self.history.registry |= {s["id"] for s in slaves[kind]}

    def _crowd_lines(self, what):
        """(seconds, agent, epoch), by what happened to the agent."""
        lines = (line.split() for crowd in self._crowds
                 for line in crowd.log().splitlines())
        return [(float(words[0]), words[2], words[3]) for words in lines
                if len(words) == 4 and words[1] == what]

    def summary(self):
        return "%d tasks, %d finished, %d agents admitted, %s" % (
            len(self.history.tasks), self._finished(), self.admitted(),
            {m.name: m.reigns() for m in self.cluster.masters
             + self.cluster.retired if m.reigns()})


def _lines(path):
    try:
        return len(path.read_text().splitlines())
    except OSError:
        return 0


class HighAvailabilityTest(unittest.TestCase):
    """Its module calls hosts.require() in setUpModule."""

    def cluster(self, **layout):
        """A cluster that is up; it goes down after the test."""
        folder = pathlib.Path(tempfile.mkdtemp(
            dir=os.environ.get("TEST_TMPDIR")))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        cluster = Cluster(folder, **layout)
        self.addCleanup(cluster.down)
        self.addCleanup(self._print_if_failed, cluster)
        cluster.up()
        return cluster

    @contextlib.contextmanager
    def load(self, cluster):
        """Load while the block runs; then the cluster is healed and judged."""
        load = Load(cluster)
        try:
            load.start()
            yield load
            cluster.heal()
            broken = load.finish()
            print(self.id().rsplit(".", 1)[1] + ": " + load.summary(),
                  flush=True)
            self.assertEqual(broken, [])
        finally:
            load.stop()

    def _print_if_failed(self, cluster):
        outcome = self._outcome.result
        for test, trace in outcome.failures + outcome.errors:
            if test is self:
                print(trace)
                cluster.print_logs()


def begin():
    """setUpModule of each module of such tests."""
    hosts.require()
