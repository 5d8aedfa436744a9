"""What a source makes of answers that are rare on a real broker, from a client that gives them."""

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumer.kafka import source as module
from consumer.kafka.connection import Connection
from consumer.kafka.source import KafkaSource
from consumer.metrics import Metrics
from consumer.settings import Settings

SETTINGS = {"bootstrap_servers": "none:1", "input_topic": "in", "output_topic": "out"}


class NoOffset:
    """What `poll` gives in place of a record where a partition has no offset."""

    def error(self):
        return KafkaError(KafkaError._AUTO_OFFSET_RESET)

    def topic(self):
        return "in"

    def partition(self):
        return 1

    def offset(self):
        return -1001


class Client:
    """A consumer with a topic of two partitions: the first is committed, the second was added, and begins at 3."""

    def __init__(self):
        self.answers = False
        self.polled = []
        self.assigned = {}
        self.kept = {}

    def subscribe(self, _, *, on_assign, on_revoke, on_lost):
        self.on_assign, self.on_revoke, self.on_lost = on_assign, on_revoke, on_lost

    def poll(self, _):
        return self.polled.pop(0) if self.polled else None

    def committed(self, partitions, **_):
        if not self.answers:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return [TopicPartition("in", p.partition, 5 if p.partition == 0 else -1001) for p in partitions]

    def commit(self, *, offsets, asynchronous):
        assert asynchronous, "a rebalance would wait for it"
        self.kept |= {p.partition: p.offset for p in offsets}

    def get_watermark_offsets(self, *_, **__):
        return 3, 9

    def incremental_assign(self, partitions):
        self.assigned |= {p.partition: p.offset for p in partitions}

    def incremental_unassign(self, partitions):
        for p in partitions:
            del self.assigned[p.partition]

    def memberid(self):
        return "one"

    def resume(self, _):
        pass


class Leaving:
    def settle(self):
        pass

    tell = settle

    def forget(self, _):
        pass


def made(metrics=None, **settings):
    client, metrics = Client(), metrics or Metrics()
    connection = Connection("consumer", metrics)
    return client, KafkaSource(client, Settings(**SETTINGS, **settings), metrics, connection, Leaving())


def test_a_partition_that_was_added_is_read_from_its_beginning_though_no_broker_answered_at_first(monkeypatch):
    monkeypatch.setattr("consumer.kafka.positions.partitions_of", lambda *_: [0, 1])
    client, source = made(start_from="latest")
    client.on_assign(client, [TopicPartition("in", 1)])
    client.polled = [NoOffset()]
    source.fetch(0)
    assert client.assigned == {1: -1001}
    source.fetch(0)
    assert client.assigned == {1: -1001}, "still no broker answers"
    client.answers = True
    source.fetch(0)
    assert client.assigned == {1: 3}
    assert client.kept == {1: 3}


def test_a_worker_that_joined_once_is_not_told_that_the_brokers_do_not_speak_its_protocol(monkeypatch):
    client, source = made(group_protocol="consumer")
    client.answers = True
    now = module.time.monotonic()
    monkeypatch.setattr(module, "is_member", lambda *_: False)
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 3600)
    client.on_assign(client, [])
    client.on_lost(client, [])
    assert source.problem()
    assert source.fetch(0) == []


def test_a_worker_that_never_joins_is(monkeypatch):
    _, source = made(group_protocol="consumer")
    now = module.time.monotonic()
    monkeypatch.setattr(module, "is_member", lambda *_: False)
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 31)
    with pytest.raises(module.KafkaFailed, match="no place in the group within 30 s"):
        source.fetch(0)


class Answer:
    """What a broker says of a partition's offset, or why it does not."""

    def __init__(self, partition, offset, error=None):
        self.topic, self.partition, self.offset, self.error, self.metadata = "in", partition, offset, error, None


def test_partitions_begin_whatever_becomes_of_another_ones_broker(monkeypatch):
    away = KafkaError(KafkaError.LEADER_NOT_AVAILABLE)
    client, _ = made()
    client.answers = True
    monkeypatch.setattr(client, "committed", lambda places, **_: [Answer(p.partition, -1001) for p in places])
    answers = [Answer(0, -1001, away), Answer(1, 7)]
    monkeypatch.setattr(client, "offsets_for_times", lambda *_, **__: answers, raising=False)
    client.on_assign(client, [TopicPartition("in", 0), TopicPartition("in", 1)])
    assert (client.assigned, client.kept) == ({0: -1001, 1: 7}, {1: 7})


class Adrift(NoOffset):
    """What `poll` gives for a partition whose offset is gone."""

    def __init__(self, partition, offset):
        self.partition, self.offset = lambda: partition, lambda: offset


def test_a_partition_that_no_broker_answers_for_holds_up_no_other(monkeypatch):
    client, source = made()
    client.answers = True
    client.assigned = {0: 50, 1: 50}

    def watermarks(place, **_):
        if place.partition == 0:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        return 3, 9

    monkeypatch.setattr(client, "get_watermark_offsets", watermarks)
    client.polled = [Adrift(0, 50), Adrift(1, 50)]
    for _ in range(4):
        source.fetch(0)
    assert client.assigned == {0: 50, 1: 3}


@pytest.mark.parametrize(("offset", "forgotten"), [(50, [{("in", 1)}]), (1, [])])
def test_what_a_topic_had_before_it_was_made_anew_is_forgotten(monkeypatch, offset, forgotten):
    told = []
    monkeypatch.setattr(Leaving, "forget", lambda _, places: told.append(places))
    client, source = made()
    client.answers, client.assigned = True, {1: offset}
    client.polled = [Adrift(1, offset)]
    for _ in range(2):
        source.fetch(0)
    assert (client.assigned, told) == ({1: 3}, forgotten)


def test_a_client_that_is_given_up_while_it_leaves_tells_nothing_of_what_another_owns_by_then(monkeypatch, caplog):
    caplog.set_level("INFO")
    metrics, places = Metrics(), [TopicPartition("in", 0)]
    (old, source), (new, _) = made(metrics), made(metrics)
    old.answers = new.answers = True
    old.on_assign(old, places)
    metrics.lag.labels("in", "0").set(7)

    def settle(_):
        source.abandon()
        assert metrics.registry.get_sample_value("raner_assigned_partitions") == 0
        assert not metrics.lag.collect()[0].samples
        new.on_assign(new, places)
        metrics.lag.labels("in", "0").set(3)

    monkeypatch.setattr(Leaving, "settle", settle)
    old.on_revoke(old, places)
    assert metrics.registry.get_sample_value("raner_assigned_partitions") == 1
    assert [sample.value for sample in metrics.lag.collect()[0].samples] == [3]
    assert [record.message for record in caplog.records] == [
        "partitions_assigned",
        "partitions_lost",
        "partitions_assigned",
    ]
