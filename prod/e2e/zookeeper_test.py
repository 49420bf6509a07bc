"""Masters that have ZooKeeper elect."""
import os
import tempfile
import unittest

from prod.e2e.harness import RUNFILES, free_base_port
from prod.local import cluster as local

# Much longer than a fail-over: whoever waits for it is seen to.
SESSION_SECONDS = 40


class ZooKeeperTest(unittest.TestCase):
    def test_a_leader_that_stops_is_succeeded_at_once(self):
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        base = free_base_port(8)
        cluster = local.LocalCluster(
            folder, RUNFILES / "prod",
            local.Layout(
                agents=0, base_port=base, zookeeper=True, zk_port=base + 7,
                master_flags=("--zk_session_timeout=%dsecs"
                              % SESSION_SECONDS,)))
        self.addCleanup(cluster.down)
        old = cluster.up()
        cluster.masters[old].stop(grace=10)
        self.assertNotEqual(cluster.await_leader(SESSION_SECONDS / 2), old)
