"""A client counts how often it is paused: each time it throws away what it has fetched ahead."""

import pytest

from consumer.kafka.pauses import Pauses

A, B, C = ("in", 0), ("in", 1), ("in", 2)


class Client:
    """Rests and wakes as librdkafka does: a partition that was lost while it rested comes back resting."""

    def __init__(self):
        self.resting, self.pauses, self.resumes = set(), [], []

    def pause(self, partitions):
        places = {(p.topic, p.partition) for p in partitions}
        self.resting |= places
        self.pauses.append(places)

    def resume(self, partitions):
        places = {(p.topic, p.partition) for p in partitions}
        self.resting -= places
        self.resumes.append(places)


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def pauses(client):
    made = Pauses(client)
    made.assigned([A, B])
    return made


def test_a_long_job_pauses_its_partition_once_and_no_other(client, pauses):
    pauses.pause(A)
    assert (client.resting, client.pauses) == ({A}, [{A}])
    pauses.resume(A)
    assert client.resting == set()


def test_holding_pauses_everything_once_and_what_is_assigned_meanwhile_too(client, pauses):
    for _ in range(3):
        pauses.hold()
    pauses.assigned([C])
    assert (client.resting, client.pauses) == ({A, B, C}, [{A, B}, {C}])
    pauses.release()
    assert client.resting == set()


def test_what_rests_for_another_reason_goes_on_resting(client, pauses):
    pauses.pause(A)
    pauses.hold()
    pauses.pause(None)
    pauses.release()
    assert client.resting == {A, B}
    pauses.resume(None)
    assert client.resting == {A}


def test_a_partition_assigned_while_everything_is_paused_rests(client, pauses):
    pauses.pause(None)
    pauses.assigned([C])
    assert C in client.resting


def test_a_partition_that_was_lost_while_it_rested_comes_back_awake(client, pauses):
    pauses.pause(A)
    pauses.lost([A])
    pauses.assigned([A])
    assert client.resting == set()


def test_a_partition_that_was_lost_while_everything_rested_comes_back_awake(client, pauses):
    pauses.pause(None)
    pauses.lost([A])
    pauses.resume(None)
    pauses.assigned([A])
    assert client.resting == set()


def test_what_does_not_rest_is_left_alone_when_it_is_assigned(client, pauses):
    pauses.lost([A])
    pauses.assigned([A, C])
    assert client.resumes == []


def test_a_partition_assigned_anew_rests_if_it_did(client, pauses):
    pauses.pause(A)
    client.resting.clear()
    pauses.again(A)
    pauses.again(B)
    assert client.resting == {A}
