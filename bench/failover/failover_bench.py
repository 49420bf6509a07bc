"""`./dev bench failover`: how long a cluster is without a leader when that is
killed, and until its agents are back; beside etcd and ZooKeeper, all as
separate processes on the loopback address with their default settings.

Every round measures everything once, the systems in turn; the table shows
medians over the rounds. Before each step it waits for the machine to be quiet.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from bench.failover import masters
from bench.log import peer_systems
from bench.log import results
from bench.log import systems
from bench.log.log_bench import await_quiet, numbers, work_folder
from bench.log.results import BenchError

AGENTS = (2, 100, 1000, 10000)
# mesos-agent's default; and next to nothing, which shows the masters' part.
BACKOFFS = ("1secs", "1ms")
KIB = 1024
PEERS = (peer_systems.Etcd, peer_systems.ZooKeeper)

FIRST_WRITE = "ms between acknowledged writes, SIGKILL of the leader of 3"
FIRST_ANSWER = "ms to the first answer of another leader"
MEMORY = ("KiB of the leader's memory for each agent, with %d tasks, after the "
          "first %d")
FLOOR = "ms until another process sees the connection of a killed one end"


def say(text):
    print(text, file=sys.stderr, flush=True)


def noticed_death():
    """Seconds from SIGKILL of a process to the end of its connection."""
    with socket.create_server((systems.HOST, 0)) as server:
        child = subprocess.Popen(["python3", "-c", (
            "import socket, time\n"
            "c = socket.create_connection(('%s', %d))\n"
            "c.sendall(b'x')\ntime.sleep(60)") % server.getsockname()[:2]])
        connection, _ = server.accept()
        with connection:
            connection.recv(1)
            killed = time.monotonic()
            child.kill()
            connection.recv(1)
            seconds = time.monotonic() - killed
    child.wait()
    return seconds


def memory_per_agent(rss):
    """agents -> bytes for each of them, of {agents: bytes of the leader}.

    What a leader takes without any is left out: it is taken to be what it takes
    for the fewest.
    """
    fewest = min(rss)
    return {agents: (rss[agents] - rss[fewest]) / (agents - fewest)
            for agents in sorted(rss) if agents > fewest}


class Driver:
    """Measures what the options ask for."""

    def __init__(self, options, folder):
        self.options = options
        self.results = results.Results()
        self._folder = folder
        binaries = options.binaries.resolve()
        self._tools = masters.Tools(
            mesos_master=binaries / "prod/mesos-master",
            agents=binaries / "prod/e2e/agents")
        self._peer_tools = systems.Tools(
            log_floor=None, mesos_log=None,
            etcd_load=binaries / "bench/log/peers/etcd_load",
            zookeeper_load=binaries / "bench/log/peers/zookeeper_load")

    def run(self):
        for number in range(self.options.rounds):
            say("Round %d" % (number + 1))
            await_quiet(self.options.patience)
            self._add(FLOOR, "floor", 1000 * noticed_death())
            self._crowds()
            if self.options.peers:
                for kind in PEERS:
                    self._peer(kind)
                self._with_zookeeper()
        return self.results

    def _add(self, name, system, value):
        self.results.add_event(name, system, value)
        say("  %-58s %-22s %10s" % (name, system, results.number_text(value)))

    @contextlib.contextmanager
    def _part(self, what):
        """A folder of its own; a failure ends only this part."""
        folder = pathlib.Path(tempfile.mkdtemp(dir=self._folder))
        try:
            await_quiet(self.options.patience)
            yield folder
        except BenchError as error:
            self.results.failures.append("%s: %s" % (what, error))
            say("  failed: " + self.results.failures[-1])
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _crowds(self):
        rss = {}
        for agents in self.options.agents:
            for backoff in BACKOFFS:
                self._masters(agents, backoff, rss)
        if not rss:
            return
        name = MEMORY % (self.options.tasks, min(rss))
        for agents, each in memory_per_agent(rss).items():
            self._add(name, _crowd(agents), each / KIB)

    def _masters(self, agents, backoff, rss):
        what = _crowd(agents)
        with self._part(what) as folder:
            cluster = masters.Masters(self._tools, folder)
            try:
                cluster.start(agents, self.options.tasks, backoff)
                outage = cluster.fail_over()
                memory = cluster.leader_rss()
            finally:
                cluster.stop()
            self._add("ms until all agents are registered again, with a "
                      "registration_backoff_factor of " + backoff, what,
                      1000 * outage.agents)
            if backoff != BACKOFFS[0]:
                return
            self._add(FIRST_WRITE, what, 1000 * outage.write)
            self._add(FIRST_ANSWER, what, 1000 * outage.answer)
            self._add("MiB of the leader's memory in all", what,
                      memory / systems.MIB)
            rss[agents] = memory

    def _peer(self, kind):
        with self._part(kind.name) as folder:
            system = kind(self._peer_tools, folder)
            try:
                self._add(FIRST_WRITE, kind.name, 1000 * system.fail_over())
            finally:
                system.stop()

    def _with_zookeeper(self):
        what = "Quorate --zk, 2 agents"
        with self._part(what) as folder:
            zookeeper = peer_systems.ZooKeeper(self._peer_tools,
                                               folder / "zookeeper")
            cluster = None
            try:
                zookeeper.start(1)
                cluster = masters.Masters(self._tools, folder, zookeeper)
                cluster.start(2, self.options.tasks, BACKOFFS[0])
                outage = cluster.fail_over()
            finally:
                if cluster:
                    cluster.stop()
                zookeeper.stop()
            self._add(FIRST_WRITE, what, 1000 * outage.write)
            self._add(FIRST_ANSWER, what, 1000 * outage.answer)


def _crowd(agents):
    return "Quorate, %d agents" % agents


def table(kept):
    """The rows of what was measured."""
    lines = []
    for name, by_system in kept.events.items():
        rows = [("", "median", "lowest", "highest", "rounds")]
        for system, values in by_system.items():
            s = results.spread(values)
            rows.append((system, results.number_text(s.median),
                         results.number_text(s.low),
                         results.number_text(s.high), str(s.rounds)))
        lines += [name, *results.layout(rows), ""]
    lines += ["failed: " + failure for failure in kept.failures]
    return "\n".join(lines) + "\n"


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="./dev bench failover", allow_abbrev=False,
        description=__doc__.split(": ", maxsplit=1)[1].split("\n\n")[0])
    parser.add_argument("--binaries", type=pathlib.Path, required=True,
                        help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, metavar="N",
                        help="how often to measure everything (5)")
    parser.add_argument("--agents", type=numbers, default=AGENTS,
                        metavar="N,..", help="2,100,1000,10000")
    parser.add_argument("--tasks", type=int, default=10, metavar="N",
                        help="what each agent claims to run (10)")
    parser.add_argument("--peers", default=True,
                        action=argparse.BooleanOptionalAction,
                        help="whether to measure etcd and ZooKeeper as well")
    parser.add_argument("--patience", type=float, default=60, metavar="S",
                        help="how long to wait for a quiet machine (60)")
    parser.add_argument("--json", action="store_true",
                        help="every single result instead of the tables")
    parser.add_argument("--folder", default=".cache/bench",
                        type=lambda text: pathlib.Path(text).resolve(),
                        help="where the data is, on a real disk "
                        "(.cache/bench)")
    return parser.parse_args(argv)


def _on_term(*_):
    raise KeyboardInterrupt


def main(argv):
    options = parse_arguments(argv)
    signal.signal(signal.SIGTERM, _on_term)
    try:
        with work_folder(options.folder) as folder:
            kept = Driver(options, folder).run()
    except BenchError as error:
        print("./dev: %s" % error, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"events": kept.events, "failures": kept.failures},
                         indent=1))
    else:
        print(table(kept), end="")
    return 1 if kept.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
