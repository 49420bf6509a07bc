"""What the end-to-end tests share."""
import os
import pathlib
import time

from prod.local import cluster as local

HOST = "127.0.0.1"
RUNFILES = pathlib.Path.cwd()


def free_base_port(count):
    """The first of `count` ports in a row that are free now."""
    for base in range(20000 + os.getpid() % 5000, 32000, count):
        if all(local.port_is_free(port) for port in range(base, base + count)):
            return base
    raise AssertionError("no %d free ports in a row" % count)


def await_true(what, condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(0.05)
