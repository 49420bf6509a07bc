"""What happened to a cluster under load, and whether that may happen.

A History is only data, filled by cluster_under_load.py; violations() tells, in
words, which promises it breaks.
"""
import collections
import dataclasses

# After these a task does not run, and never will.
TERMINAL = frozenset((
    "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST",
    "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR"))
# What a framework is told of a task that no agent ever had.
NEVER_WAS = frozenset(("TASK_DROPPED", "TASK_UNKNOWN", "TASK_GONE"))
# The same, or of one that its agent gave up before it ran: the agent was
# restarted just then.
NEVER_RAN = NEVER_WAS | {"TASK_FAILED"}
# What is told of these tasks, which all end well, on their way.
EXPECTED = frozenset(("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"))


@dataclasses.dataclass
class Task:
    # Whether it runs until it is told to end.
    long: bool
    # To which it was sent.
    agent: str = ""
    # As the framework was told, in order.
    states: list = dataclasses.field(default_factory=list)
    # What the task's own command has counted.
    starts: int = 0
    ends: int = 0
    # Whether the leader knew it as running when all was calm, before long
    # tasks were told to end.
    known_running: bool = False


@dataclasses.dataclass
class History:
    tasks: dict = dataclasses.field(default_factory=dict)  # by id
    # Agent ids, by machine, before and after.
    agents_before: dict = dataclasses.field(default_factory=dict)
    agents_after: dict = dataclasses.field(default_factory=dict)
    # The epochs that each agent obeyed, in order, by agent.
    obeyed: dict = dataclasses.field(default_factory=dict)
    # The epochs in which each master said that it leads, by master.
    reigns: dict = dataclasses.field(default_factory=dict)
    # Agents that were told that they are admitted, and what the registry
    # holds in the end.
    admitted: set = dataclasses.field(default_factory=set)
    registry: set = dataclasses.field(default_factory=set)
    # Agents that were told to shut down: nobody asked for that.
    refused: list = dataclasses.field(default_factory=list)


def violations(history):
    """A line for each promise that is broken; empty when all is well."""
    broken = []
    for name, task in sorted(history.tasks.items()):
        broken += ["%s: %s" % (name, what) for what in _task_violations(task)]
    if history.agents_before != history.agents_after:
        broken.append("agents have changed: %s, later %s" % (
            history.agents_before, history.agents_after))
    for agent, epochs in sorted(history.obeyed.items()):
        if epochs != sorted(epochs):
            broken.append("%s obeyed an older reign: %s" % (agent, epochs))
    broken += _reign_violations(history)
    for agent in sorted(history.admitted - history.registry):
        broken.append("the registry has forgotten agent %s" % agent)
    for agent in history.refused:
        broken.append("agent %s was told to shut down" % agent)
    return broken


def _task_violations(task):
    ran = "TASK_RUNNING" in task.states or "TASK_FINISHED" in task.states
    if task.starts > 1 or task.ends > 1:
        yield "ran %d times, to its end %d times" % (task.starts, task.ends)
    if ran:
        if task.starts == 0:
            yield "is said to have run, and never did"
        if _wrong(task.states):
            yield "was lost: %s" % task.states
        if task.long and not task.known_running:
            yield "was running, and the leader did not know it"
        if "TASK_FINISHED" not in task.states:
            yield "nobody was told of its end: %s" % task.states
    elif not NEVER_RAN & set(task.states):
        yield "nobody knows what became of it: %s" % task.states
    elif task.starts:
        yield "ran, and is said never to have run: %s" % task.states


def _wrong(states):
    end = "TASK_FINISHED"
    before = states[:states.index(end)] if end in states else states
    # The master forgets a task whose end was acknowledged, and says so to those
    # who ask.
    after = set(states[len(before):]) - {end} - NEVER_WAS
    return after or set(before) - EXPECTED


def _reign_violations(history):
    masters = collections.defaultdict(list)
    for master, epochs in sorted(history.reigns.items()):
        for epoch in epochs:
            masters[epoch].append(master)
    for epoch, leaders in sorted(masters.items()):
        if len(leaders) > 1:
            yield "epoch %d had the leaders %s" % (epoch, ", ".join(leaders))
    for agent, epochs in sorted(history.obeyed.items()):
        for epoch in sorted(set(epochs) - set(masters)):
            yield "%s obeyed epoch %d, which was nobody's" % (agent, epoch)
