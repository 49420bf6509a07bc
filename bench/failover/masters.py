"""Masters as separate processes on the loopback address, and many agents.

    cluster = Masters(tools, folder)
    try:
        cluster.start(agents=1000, tasks=10, backoff="1secs")
        outage = cluster.fail_over()
    finally:
        cluster.stop()

All that it writes is below its folder. Its processes end with this one.
"""

import dataclasses
import http.client
import pathlib
import re
import signal
import threading
import time

from bench.log import results
from bench.log.systems import (GRACE, HOST, PORTS, START_SECONDS, addresses,
                               await_true, bound)
from prod.local import cluster as local
from prod.local import processes

MASTERS = 3
# Agents of the writer have numbers from here on.
WRITER_FIRST = 1000000
# Of one process: each takes two sockets, and many systems allow 20,000 files.
CROWD = 5000
# How long agents may take to come, and to come back.
AGENTS_SECONDS = 300
# Between two questions to each master that is left.
PROBE_SECONDS = 0.001


@dataclasses.dataclass(frozen=True)
class Tools:
    """Where the programs are."""

    mesos_master: pathlib.Path
    agents: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Outage:
    """Seconds from the leader's death, but `write`."""

    # To the first request that another leader answers.
    answer: float
    # Between two acknowledged writes to the registry; the writer itself makes
    # a pause of 2 to 7 ms between two.
    write: float
    # Until every agent is registered again.
    agents: float


def now():
    """On the clock of the agents' program."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def parse_registrations(text, first=0.0):
    """(seconds, agent, epoch) of what was registered or admitted since."""
    found = []
    for line in text.split("\n")[:-1]:
        words = line.split()
        if (len(words) == 4 and words[1] in ("registered", "admitted")
                and float(words[0]) >= first):
            found.append((float(words[0]), words[2], int(words[3])))
    return found


class Masters:
    """Three, which elect a leader by themselves or through a ZooKeeper."""

    def __init__(self, tools, folder, zookeeper=None):
        """`zookeeper`: a running bench.log.peer_systems.ZooKeeper."""
        self.tools = tools
        self.folder = pathlib.Path(folder).resolve()
        self.ports = PORTS.take(MASTERS)
        self.masters = [self._process("master%d" % i) for i in range(MASTERS)]
        self.crowds = []
        self.writer = self._process("writer")
        self.url = addresses(self.ports)
        if zookeeper:
            self.url = "zk://%s/mesos" % addresses(zookeeper.ports)

    def _process(self, name):
        return processes.Process(name, self.folder / name)

    def start(self, agents, tasks, backoff):
        """Until all are registered, and the registry is being written."""
        for process, port in zip(self.masters, self.ports):
            process.start(bound([
                self.tools.mesos_master, "--ip=" + HOST, "--port=%d" % port,
                "--hostname=" + HOST, "--quorum=%d" % (MASTERS // 2 + 1),
                ("--zk=" if self.url.startswith("zk:") else "--masters=")
                + self.url,
                "--work_dir=%s" % (process.folder / "work")]))
        await_true("a leader", lambda: self.leader() is not None, self.masters)
        for first in range(0, agents, CROWD):
            crowd = self._process("agents%d" % first)
            self.crowds.append(crowd)
            self._start_agents(crowd, "--first=%d" % first,
                               "--count=%d" % min(CROWD, agents - first),
                               "--tasks=%d" % tasks,
                               "--registration_backoff_factor=" + backoff)
        await_true("the agents to register",
                   lambda: len(self._registered()) >= agents,
                   self.crowds, AGENTS_SECONDS, poll=0.1)
        self._start_agents(self.writer, "--count=1",
                           "--first=%d" % WRITER_FIRST, "--join_every=2ms",
                           "--registration_backoff_factor=5ms")
        await_true("writes to the registry",
                   lambda: len(self._writes()) > 20, [self.writer])

    def _start_agents(self, process, *flags):
        process.start(bound([self.tools.agents, "--master=" + self.url,
                             *flags]))

    def stop(self):
        processes.stop([self.writer, *self.crowds, *self.masters], GRACE)

    def leader(self):
        """The index of the master that leads, or None."""
        for index, port in enumerate(self.ports):
            metrics = local.get_json(port, "/metrics/snapshot")
            if metrics and metrics.get("master/elected") == 1:
                return index
        return None

    def leader_rss(self):
        """Bytes of memory of the leading master."""
        pid = self.masters[self.leader()].pid()
        status = pathlib.Path("/proc/%d/status" % pid).read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    def _registered(self, since=0.0):
        return {agent: seconds for crowd in self.crowds for seconds, agent, _ in
                parse_registrations(crowd.log.read_text(), since)}

    def _writes(self):
        return sorted(results.parse_acks("".join(
            line + "\n" for line in self.writer.log.read_text().split("\n")
            if " admitted " in line)))

    def fail_over(self, settle=1.0, after=1.0):
        """Kills the leader: an Outage."""
        agents = set(self._registered())
        leader = self.leader()
        time.sleep(settle)
        answered = []
        probes = [threading.Thread(target=_probe, args=(port, answered))
                  for port in self.ports if port != self.ports[leader]]
        killed = now()
        self.masters[leader].signal(signal.SIGKILL)
        for probe in probes:
            probe.start()
        for probe in probes:
            probe.join()
        if not answered:
            raise results.BenchError("no master answers after the leader's end")
        await_true("the agents to come back",
                   lambda: agents <= set(self._registered(killed)),
                   self.crowds, AGENTS_SECONDS, poll=0.1)
        await_true("writes after the leader's end",
                   lambda: self._writes()[-1] > killed + after, [self.writer],
                   poll=0.1)
        back = self._registered(killed)
        return Outage(
            answer=min(answered) - killed,
            write=results.outage(self._writes(), killed),
            agents=max(back[agent] for agent in agents) - killed)


def _probe(port, answered):
    """Asks what only a leader answers, until somebody has answered."""
    deadline = now() + START_SECONDS
    while not answered and now() < deadline:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/master/tasks?limit=1")
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                answered.append(now())
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(PROBE_SECONDS)
