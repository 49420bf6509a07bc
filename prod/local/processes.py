"""Processes that outlive the program that starts them.

Each has a folder with its log and a pid file. The pid file holds the start
time beside the pid, so that a process is never taken for another one that got
the same pid later, and signals go through a pidfd, so that they cannot reach
one either.

    p = Process("zookeeper", pathlib.Path(".local/zookeeper"))
    p.start(["java", ...])
    ...
    p.stop(grace=5)
"""

import os
import pathlib
import select
import signal
import subprocess
import time


def start_time(pid):
    """When the process started, in clock ticks since boot; None if gone.

    A zombie counts as gone, but not before its last thread has ended: until
    then its files and sockets are open.
    """
    try:
        stat = pathlib.Path("/proc/%d/stat" % pid).read_text()
    except OSError:
        return None
    # The name, in parentheses, may hold anything; the last one ends it.
    fields = stat[stat.rindex(")") + 2:].split()
    state, threads, started = fields[0], int(fields[17]), int(fields[19])
    return None if state in "ZX" and threads <= 1 else started


class Handle:
    """A running process, safe from reuse of its pid. Close it after use."""

    def __init__(self, pid, started):
        """Raises ProcessLookupError when that very process is gone."""
        self.pid = pid
        self._fd = os.pidfd_open(pid)
        # The pid belongs to the pidfd's process from here on, until it ends.
        if start_time(pid) != started:
            os.close(self._fd)
            raise ProcessLookupError(pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        os.close(self._fd)

    def signal(self, number):
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            pass

    def wait(self, seconds):
        """True if the process has ended within that time."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(max(0, seconds) * 1000))


def stop_all(handles, grace):
    """TERM to all, KILL to those left after `grace` seconds; waits for all."""
    for handle in handles:
        handle.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace
    for handle in handles:
        if not handle.wait(deadline - time.monotonic()):
            handle.signal(signal.SIGKILL)
            handle.wait(grace)


class Process:
    """One process with a name and a folder of its own."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.log = self.folder / "log"
        self._pid_file = self.folder / "pid"

    def start(self, argv, env=None):
        """Starts it in a session of its own; its output goes to the log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=env,
                start_new_session=True,
                # By the child, before it becomes the program: there is no
                # moment at which it runs and the pid file does not say so.
                preexec_fn=self._write_pid_file,
            )
        # It may outlive this program: keep Popen from warning of that.
        child.returncode = 0

    def _write_pid_file(self):
        pid = os.getpid()
        self._pid_file.write_text("%d %d\n" % (pid, start_time(pid)))

    def handle(self):
        """A Handle on the running process, or None."""
        try:
            pid, started = map(int, self._pid_file.read_text().split())
            return Handle(pid, started)
        except (OSError, ValueError):
            return None

    def running(self):
        handle = self.handle()
        if handle is None:
            return False
        with handle:
            return True

    def pid(self):
        """The pid of the running process, or None."""
        handle = self.handle()
        if handle is None:
            return None
        with handle:
            return handle.pid

    def signal(self, number):
        """Sends it, if the process runs; says whether it does."""
        handle = self.handle()
        if handle is None:
            return False
        with handle:
            handle.signal(number)
            return True

    def stop(self, grace):
        """TERM, then KILL after `grace` seconds; says whether it ran."""
        return bool(stop([self], grace))

    def log_tail(self, lines=20):
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])


def stop(all_processes, grace):
    """Stops those that run, all at once; returns their names."""
    running = [(p.name, p.handle()) for p in all_processes]
    running = [(name, handle) for name, handle in running if handle]
    stop_all([handle for _, handle in running], grace)
    for _, handle in running:
        handle.close()
    return [name for name, _ in running]


def _environment(pid):
    try:
        data = pathlib.Path("/proc/%d/environ" % pid).read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in data.split(b"\0"))
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def handles_by_environment(accept):
    """Handles on all processes whose environment `accept`s, but this one.

    `accept` takes a dict. Processes of other users are not seen.
    """
    handles = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        pid = int(entry)
        started = start_time(pid)
        if started is None or not accept(_environment(pid)):
            continue
        try:
            handles.append(Handle(pid, started))
        except OSError:
            pass
    return handles
