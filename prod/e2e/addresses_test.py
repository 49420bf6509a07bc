"""A master behind a router, which nobody reaches at its own address: it leads,
and everybody finds it where it says that it is.
"""
import unittest

from prod.e2e.cluster_under_load import HighAvailabilityTest, begin
from prod.e2e.harness import await_true

OUTER_PORT = 6050


def setUpModule():
    begin()


class Addresses:
    zookeepers = 0

    def test_a_master_behind_a_router(self):
        cluster = self.cluster(masters=3, zookeepers=self.zookeepers,
                               behind_router=OUTER_PORT)
        hidden = cluster.masters[0]
        self.assertNotEqual(hidden.host.ip, hidden.ip)
        with self.load(cluster) as load:
            for _ in range(20):
                leader = cluster.await_leader()
                if leader is hidden:
                    break
                leader.kill()
                cluster.await_leader(other_than=leader)
                leader.start()
                await_true("its replica is back",
                           lambda m=leader: m.role() is not None)
            self.assertIs(cluster.await_leader(), hidden)
            load.await_progress()
            # So the standbys tell, and so do /state and the log.
            await_true("everybody tells its outer address", lambda: all(
                m.told_leader() == hidden.endpoint for m in cluster.masters))
            self.assertEqual(hidden.state()["leader"],
                             "master@" + hidden.endpoint)
            self.assertEqual(
                cluster.masters[1].log_status()["leader_address"],
                hidden.endpoint)
            cluster.await_agents()
            # It fails like any other.
            hidden.power_off()
            load.await_progress()
            hidden.start()


class MastersElect(Addresses, HighAvailabilityTest):
    pass


class ZooKeeperElects(Addresses, HighAvailabilityTest):
    zookeepers = 1


if __name__ == "__main__":
    unittest.main()
