"""The contract of io/coordination.h, against a real ZooKeeper server."""

import os
import pathlib
import socket
import subprocess
import tempfile
import unittest

from prod.local import cluster as local


def free_port():
    """One of the kernel's choice, so that tests at the same time differ."""
    with socket.socket() as probe:
        probe.bind((local.HOST, 0))
        return probe.getsockname()[1]


class CoordinationContractTest(unittest.TestCase):
    def test_contract(self):
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        layout = local.Layout(masters=0, agents=0, zookeeper=True,
                              zk_port=free_port())
        cluster = local.LocalCluster(folder, None, layout)
        self.addCleanup(cluster.wipe)
        self.addCleanup(cluster.down)
        cluster.start_zookeeper()
        address = "%s:%d" % (local.HOST, layout.zk_port)
        subprocess.run(
            [pathlib.Path.cwd() / "prod/coordination_contract"],
            env=dict(os.environ, QUORATE_TEST_ZOOKEEPER=address),
            check=True,
        )
