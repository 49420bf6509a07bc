"""Programs that die, stand still or are restarted, under load: nothing that
was acknowledged is lost, no task is lost or starts twice, and no two leaders
are obeyed.
"""
import unittest

from prod.e2e.cluster_on_hosts import SESSION_SECONDS
from prod.e2e.cluster_under_load import HighAvailabilityTest, begin
from prod.e2e.harness import await_true


def setUpModule():
    begin()


class Failures:
    zookeepers = 0

    def test_whoever_dies(self):
        cluster = self.cluster(masters=3, zookeepers=self.zookeepers)
        with self.load(cluster) as load:
            # The leader: its connections end, and that is news.
            old = cluster.await_leader()
            old.kill()
            cluster.await_leader(other_than=old)
            load.await_progress()
            old.start()
            # Its machine loses power, and nobody hears of it.
            old = cluster.await_leader()
            old.power_off()
            cluster.await_leader(other_than=old)
            load.await_progress()
            old.start()
            self.before_power_loss(cluster, load)
            # Everything at once; only the tasks run on.
            machines = cluster.machines()
            for machine in machines:
                if machine.running():
                    machine.power_off()
            for machine in machines:
                machine.start()
            load.await_progress(seconds=90)

    def before_power_loss(self, cluster, load):
        pass

    def test_pauses_and_a_rolling_restart(self):
        cluster = self.cluster(masters=3, zookeepers=self.zookeepers)
        with self.load(cluster) as load:
            # A leader that stands still for longer than every timeout finds
            # out that it leads no more, before it does anything.
            old = cluster.await_leader()
            old.pause()
            try:
                cluster.await_leader(other_than=old)
                load.await_progress()
            finally:
                old.resume()
            old.await_end()
            self.assertRegex(old.log(), "lost leadership")
            old.start()
            # One of the others: nobody minds.
            leader = cluster.await_leader()
            other = next(m for m in cluster.masters if m is not leader)
            other.pause()
            load.await_progress()
            other.resume()
            self.assertIs(cluster.await_leader(), leader)
            # An agent, shorter than the 75 s that it has.
            agent = cluster.agents[0]
            agent.pause()
            load.await_progress()
            agent.resume()
            for master in cluster.masters:
                master.restart()
                await_true("its replica is back",
                           lambda m=master: m.role() in (
                               "leading", "following"))
                load.await_progress()


class MastersElect(Failures, HighAvailabilityTest):
    pass


class ZooKeeperElects(Failures, HighAvailabilityTest):
    zookeepers = 3

    def before_power_loss(self, cluster, load):
        # ZooKeeper's leader, while the others can elect another one.
        server = cluster.zookeeper_leader()
        server.kill()
        await_true("ZooKeeper has another leader",
                   cluster.zookeeper_leader, seconds=30)
        load.await_progress(seconds=60 + SESSION_SECONDS)
        server.start()


if __name__ == "__main__":
    unittest.main()
