"""Our own log, through its command line: mesos-log."""

import pathlib
import re
import shutil
import time

from bench.log import results
from bench.log.systems import (
    FILL_OUTSTANDING,
    FILL_SIZE,
    HOST,
    LONG_SECONDS,
    MIB,
    PORTS,
    START_SECONDS,
    System,
    addresses,
    await_true,
    bound,
    run,
)


class Quorate(System):
    """mesos-log: one process appends, the others are replicas."""

    name = results.OURS
    # A replica that caught up writes less than this in a second.
    _IDLE_BYTES = MIB

    def start(self, count):
        # Each measurement has replicas of its own.
        self._count = count

    def start_elected(self):
        self.ports = PORTS.take(3)
        for index in range(3):
            self._launch(index, election=True)
        await_true("a leader", lambda: self.leader() is not None, self.replicas)

    def _flags(self, index):
        others = self.ports[:index] + self.ports[index + 1:]
        return [
            "--path=%s" % (self.folder / ("replica%d" % index) / "data"),
            "--quorum=%d" % (len(self.ports) // 2 + 1),
            "--listen=%s:%d" % (HOST, self.ports[index]),
            "--peers=" + addresses(others),
        ]

    def _launch(self, index, election):
        process = self._process("replica%d" % index)
        (process.folder / "data").mkdir(parents=True, exist_ok=True)
        # A replica that is started again says anew that it listens.
        process.log.unlink(missing_ok=True)
        process.start(bound([
            self.tools.mesos_log, "replica", *self._flags(index),
            *(["--election"] if election else [])]))
        self.replicas.append(process)
        await_true("a replica to listen",
                   lambda: "listening on" in self._said(process), [process],
                   LONG_SECONDS)

    @staticmethod
    def _said(process):
        try:
            return process.log.read_text(errors="replace")
        except OSError:
            return ""

    def leader(self):
        """The last that said so: "leading" or "following", on a line."""
        for index, process in enumerate(self.replicas):
            said = re.findall(r"^(leading|following)\b", self._said(process),
                              re.MULTILINE)
            if said and said[-1] == "leading" and process.running():
                return index
        return None

    def measure(self, size, outstanding, seconds):
        self.ports = PORTS.take(self._count)
        try:
            return self.append(size, outstanding, seconds)
        finally:
            self.stop()
            for data in self.folder.glob("replica*/data"):
                shutil.rmtree(data)

    def append(self, size, outstanding, seconds, absent=()):
        """Appends from replica 0; the others run and do not stand."""
        for index in range(1, len(self.ports)):
            if index not in absent:
                self._launch(index, election=False)
        (self.folder / "replica0" / "data").mkdir(parents=True, exist_ok=True)
        return results.parse_result(run(
            [self.tools.mesos_log, "benchmark", *self._flags(0),
             "--size=%d" % size, "--outstanding=%d" % outstanding,
             "--seconds=%g" % seconds, "--json"], seconds + START_SECONDS))

    def ack_command(self, servers):
        return [self.tools.mesos_log, "append-loop",
                "--server=" + addresses(servers)]

    def fill(self, mib, lost=()):
        """Appends about that much and stops; the MiB that there are.

        All replicas form the log; then the lost ones end, with their disks.
        """
        rate = self.append(FILL_SIZE, FILL_OUTSTANDING, 1)
        self.stop()
        for index in lost:
            shutil.rmtree(self.folder / ("replica%d" % index) / "data")
        count = rate["count"]
        left = mib * MIB / FILL_SIZE - count
        if left > 0:
            seconds = max(left / rate["appends_per_s"], 0.1)
            count += self.append(FILL_SIZE, FILL_OUTSTANDING, seconds,
                                 lost)["count"]
            self.stop()
        return count * FILL_SIZE / MIB

    def catch_up(self, mib):
        self.ports = PORTS.take(3)
        filled = self.fill(mib, lost=[2])
        for index in (0, 1):
            self._launch(index, election=True)
        await_true("a leader", lambda: self.leader() is not None, self.replicas)
        start = time.monotonic()
        self._launch(2, election=True)
        return filled / (self._quiet_since(self.replicas[2],
                                           filled * MIB) - start)

    def _quiet_since(self, process, least):
        """When it had written at least that much and then hardly more."""
        written, since = 0, time.monotonic()

        def quiet():
            nonlocal written, since
            now, total = time.monotonic(), bytes_written(process.pid())
            if total - written > self._IDLE_BYTES or total < least:
                written, since = total, now
            return now - since > 1

        await_true("the empty replica to catch up", quiet, self.replicas,
                   LONG_SECONDS)
        return since

    def recover(self, mib):
        self.ports = PORTS.take(1)
        filled = self.fill(mib)
        start = time.monotonic()
        self._launch(0, election=True)
        await_true("the replica to lead", lambda: self.leader() is not None,
                   self.replicas, LONG_SECONDS)
        return filled / (time.monotonic() - start)


def bytes_written(pid):
    """What the process has written, to files and connections; 0 if gone."""
    try:
        text = pathlib.Path("/proc/%d/io" % pid).read_text()
    except (OSError, TypeError):
        return 0
    return int(re.search(r"wchar: (\d+)", text).group(1))
