"""More and fewer masters as the guide has it, by --quorum alone, under load.

Nobody changes the members by hand: the masters wait until all of them have
declared the same --quorum for a while, and until one that is away has been
away for long. So these take minutes.
"""
import unittest

from prod.e2e.cluster_under_load import HighAvailabilityTest, begin
from prod.e2e.harness import await_true

# All have to declare the same for half a minute, for each step.
GROW_SECONDS = 180
# And one has to be away for ten minutes.
SHRINK_SECONDS = 1500


def setUpModule():
    begin()


class Guide:
    zookeepers = 0

    def roll(self, cluster, load, quorum):
        for master in cluster.masters:
            master.restart(quorum=quorum)
            await_true("its replica is back", lambda m=master: m.role() in (
                "leading", "following"))
            load.await_progress()

    def grow(self, cluster, load):
        """From three to five."""
        self.roll(cluster, load, quorum=3)
        for _ in range(2):
            cluster.add_master(quorum=3)
        for master in cluster.masters[3:]:
            master.start(**cluster.election_flags())
        await_true("all five are members",
                   lambda: len(cluster.members()) == 5, GROW_SECONDS)
        load.await_progress()


class Growing(Guide, HighAvailabilityTest):
    def test_three_become_five(self):
        cluster = self.cluster(masters=3, zookeepers=self.zookeepers,
                               spares=2)
        with self.load(cluster) as load:
            self.grow(cluster, load)
            for _ in range(2):
                cluster.await_leader().kill()
            load.await_progress()
            for master in cluster.masters:
                if not master.running():
                    master.start()


class GrowingWithZooKeeper(Growing):
    zookeepers = 1


class Shrinking(Guide, HighAvailabilityTest):
    """By hand: it takes more than twenty minutes."""

    def test_five_become_three(self):
        cluster = self.cluster(masters=5, zookeepers=self.zookeepers)
        with self.load(cluster) as load:
            for _ in range(2):
                gone = next(m for m in cluster.masters
                            if m is not cluster.await_leader())
                gone.stop()
                cluster.masters.remove(gone)
                cluster.retired.append(gone)
            self.roll(cluster, load, quorum=2)
            await_true("three members are left",
                       lambda: len(cluster.members()) == 3, SHRINK_SECONDS)
            load.await_progress()
            cluster.await_leader().kill()
            load.await_progress()


class ShrinkingWithZooKeeper(Shrinking):
    zookeepers = 1


if __name__ == "__main__":
    unittest.main()
