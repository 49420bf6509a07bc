"""How many masters may fail: as many as the guide says, and not one more."""
import time
import unittest

from prod.e2e.cluster_under_load import HighAvailabilityTest, begin
from prod.e2e.harness import await_true

# For how long nothing may happen when too many have failed.
STANDSTILL_SECONDS = 4


def setUpModule():
    begin()


class ToleranceTest(HighAvailabilityTest):
    def check(self, masters, quorum, tolerated, zookeepers=0):
        """Of `masters`, with --quorum, that many may fail."""
        cluster = self.cluster(masters=masters, quorum=quorum,
                               zookeepers=zookeepers)
        with self.load(cluster) as load:
            dead = []
            for _ in range(tolerated):
                # Always the leader.
                dead.append(cluster.await_leader())
                dead[-1].power_off()
            load.await_progress(seconds=90)
            # One more, and nothing is acknowledged.
            dead.append(cluster.await_leader())
            dead[-1].power_off()
            await_true("nobody leads", lambda: not cluster.leaders())
            admitted = load.admitted()
            time.sleep(STANDSTILL_SECONDS)
            self.assertEqual(cluster.leaders(), [])
            self.assertEqual(load.admitted(), admitted)
            # As soon as it is back, all goes on.
            dead[-1].start()
            load.await_progress(seconds=90)
            for master in dead[:-1]:
                master.start()

    def test_one_tolerates_none(self):
        self.check(masters=1, quorum=1, tolerated=0)

    def test_three_tolerate_one(self):
        self.check(masters=3, quorum=2, tolerated=1)

    def test_three_with_zookeeper_tolerate_one(self):
        self.check(masters=3, quorum=2, tolerated=1, zookeepers=1)

    def test_five_tolerate_two(self):
        self.check(masters=5, quorum=3, tolerated=2)

    def test_seven_tolerate_three(self):
        self.check(masters=7, quorum=4, tolerated=3)


if __name__ == "__main__":
    unittest.main()
