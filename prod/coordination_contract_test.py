"""The contract of io/coordination.h, against a real ZooKeeper server."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from prod.local import cluster as local


def free_port():
    for port in range(20000 + os.getpid() % 10000, 32000):
        if local.port_is_free(port):
            return port
    raise AssertionError("no free port")


class CoordinationContractTest(unittest.TestCase):
    def test_contract(self):
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        layout = local.Layout(masters=0, agents=0, zk_port=free_port())
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
