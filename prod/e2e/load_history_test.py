"""The judge of histories: each broken promise is noticed, by itself."""
import copy
import unittest

from prod.e2e.load_history import History, Task, violations

GOOD = History(
    tasks={
        "short": Task(False, "S0", ["TASK_STARTING", "TASK_RUNNING",
                              "TASK_FINISHED", "TASK_FINISHED"], 1, 1),
        "long": Task(True, "S0", ["TASK_RUNNING", "TASK_FINISHED"], 1, 1, True),
        "never": Task(False, "S0", ["TASK_DROPPED"]),
    },
    agents_before={"a1": "S0"}, agents_after={"a1": "S0"},
    obeyed={"a1": [1, 1, 7]},
    reigns={"m1": [1], "m2": [7]},
    admitted={"S1"}, registry={"S0", "S1"})


class HistoryTest(unittest.TestCase):
    def broken(self, change):
        history = copy.deepcopy(GOOD)
        change(history)
        return "; ".join(violations(history))

    def test_a_good_one_breaks_nothing(self):
        self.assertEqual(violations(GOOD), [])

    def test_a_task_that_ran_twice(self):
        def twice(history):
            history.tasks["short"].starts = 2
        self.assertIn("ran 2 times", self.broken(twice))

    def test_a_task_that_is_lost(self):
        for state in ("TASK_LOST", "TASK_UNREACHABLE", "TASK_GONE",
                      "TASK_FAILED", "TASK_DROPPED"):
            def lose(history, state=state):
                history.tasks["long"].states.insert(1, state)
            self.assertIn("was lost", self.broken(lose))

    def test_a_task_that_begins_again_after_its_end(self):
        def resume(history):
            history.tasks["short"].states.append("TASK_RUNNING")
        self.assertIn("was lost", self.broken(resume))

    def test_the_master_may_forget_a_task_whose_end_was_told(self):
        def ask(history):
            history.tasks["short"].states.append("TASK_UNKNOWN")
        self.assertEqual("", self.broken(ask))

    def test_a_task_that_the_leader_does_not_know(self):
        def forget(history):
            history.tasks["long"].known_running = False
        self.assertIn("did not know it", self.broken(forget))

    def test_a_task_whose_end_is_not_told(self):
        def silence(history):
            history.tasks["short"].states = ["TASK_RUNNING"]
        self.assertIn("nobody was told of its end", self.broken(silence))

    def test_a_task_of_which_nothing_is_heard(self):
        def silence(history):
            history.tasks["never"].states = []
        self.assertIn("nobody knows", self.broken(silence))

    def test_a_task_that_is_invented(self):
        def invent(history):
            history.tasks["short"].starts = 0
        self.assertIn("never did", self.broken(invent))

    def test_a_task_that_ran_and_is_said_not_to_be(self):
        def start(history):
            history.tasks["never"].starts = 1
        self.assertIn("said never to have run", self.broken(start))

    def test_an_agent_with_another_id(self):
        def rename(history):
            history.agents_after["a1"] = "S2"
        self.assertIn("agents have changed", self.broken(rename))

    def test_an_agent_that_obeys_a_former_leader(self):
        def regress(history):
            history.obeyed["a1"].append(1)
        self.assertIn("older reign", self.broken(regress))

    def test_an_epoch_of_two_or_of_nobody(self):
        def two(history):
            history.reigns["m1"].append(7)
        self.assertIn("epoch 7 had the leaders m1, m2", self.broken(two))

        def nobody(history):
            history.obeyed["a1"].append(9)
        self.assertIn("which was nobody's", self.broken(nobody))

    def test_a_registry_that_forgets(self):
        def forget(history):
            history.registry.remove("S1")
        self.assertIn("forgotten agent S1", self.broken(forget))

    def test_an_agent_that_is_sent_away(self):
        def refuse(history):
            history.refused.append("S1")
        self.assertIn("told to shut down", self.broken(refuse))


if __name__ == "__main__":
    unittest.main()
