import pytest
from twins import Clock

from consumer.errors import ClientStuck
from consumer.kafka.watchdog import ASK_EVERY_SECONDS, PATIENCE_SECONDS, Watchdog


class Scene:
    """A client that may be out, and brokers that may answer another one."""

    def __init__(self):
        self.clock, self.out_since, self.answering, self.asked = Clock(), None, True, 0
        self.watchdog = Watchdog(self.outage_seconds, self.answers, self.clock)

    def outage_seconds(self):
        return 0.0 if self.out_since is None else self.clock.time - self.out_since

    def answers(self):
        self.asked += 1
        return self.answering

    def pass_seconds(self, seconds):
        """Let time pass and check every second; return after how many the client counts as stuck."""
        for second in range(seconds):
            self.clock.time += 1
            try:
                self.watchdog.check()
            except ClientStuck:
                return second + 1
        return None


@pytest.fixture
def scene():
    return Scene()


def test_a_client_is_stuck_when_brokers_answered_another_one_twice(scene):
    scene.out_since = scene.clock.time
    assert scene.pass_seconds(60) == PATIENCE_SECONDS + ASK_EVERY_SECONDS
    assert scene.asked == 2


def test_brokers_that_answer_nobody_are_waited_for(scene):
    scene.out_since, scene.answering = scene.clock.time, False
    assert scene.pass_seconds(600) is None
    assert scene.asked < 600 / ASK_EVERY_SECONDS


def test_a_client_that_comes_back_after_its_brokers_is_not_stuck(scene):
    scene.out_since, scene.answering = scene.clock.time, False
    assert scene.pass_seconds(100) is None
    scene.answering = True
    assert scene.pass_seconds(int(ASK_EVERY_SECONDS)) is None
    scene.out_since = None
    assert scene.pass_seconds(100) is None
    scene.out_since = scene.clock.time  # another outage is another matter
    assert scene.pass_seconds(60) == PATIENCE_SECONDS + ASK_EVERY_SECONDS


def test_nobody_is_asked_while_all_is_well(scene):
    assert scene.pass_seconds(100) is None
    assert scene.asked == 0
