"""--proxy_to_leader: a framework that reaches a follower only."""
import os
import signal
import tempfile
import unittest

from prod.e2e.framework import Framework, get_json
from prod.e2e.harness import HOST, RUNFILES, await_true, free_base_port
from prod.local import cluster as local


class ProxyTest(unittest.TestCase):
    def test_a_framework_behind_a_follower(self):
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        base = free_base_port(8)
        cluster = local.LocalCluster(
            folder, RUNFILES / "prod",
            local.Layout(base_port=base, agents=1,
                         master_flags=("--proxy_to_leader",)))
        self.addCleanup(cluster.down)
        old = cluster.up()
        follower = (old + 1) % 3
        address = (HOST, cluster.layout.master_port(follower))
        framework = Framework([address], "behind-a-follower")
        framework.subscribe()
        self.addCleanup(framework.close)
        stop = os.path.join(folder, "stop")
        framework.launch(
            "long", "while [ ! -e %s ]; do sleep 0.1; done" % stop)
        framework.await_state("long", "TASK_RUNNING")
        self.assertEqual(len(get_json(address, "/slaves")["slaves"]), 1)
        self.assertIn("behind-a-follower", str(get_json(address, "/state")))

        # Its stream ends with the leader, and goes on with the next.
        cluster.masters[old].signal(signal.SIGKILL)
        framework.await_event(lambda e: e["type"] == "DISCONNECTED")
        identity = framework.id
        framework.subscribe()
        self.assertEqual(framework.id, identity)
        await_true("the agent is back", lambda: [
            a for a in get_json(address, "/slaves")["slaves"] if a["active"]])
        with open(stop, "w", encoding="ascii"):
            framework.await_state("long", "TASK_FINISHED")
