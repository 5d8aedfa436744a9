"""How workers share partitions: both protocols of the group, patterns of topics, topics that grow."""

import json

import pytest
from brokers import PARTITIONS, Broker, running_kafka
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic
from topics import ids, produce, read, texts
from worker_process import wait_for, worker_process

pytestmark = pytest.mark.kafka

SOON = {"kafka_consumer_topic_metadata_refresh_interval_ms": "500"}


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_workers_of_the_new_group_protocol_share_the_work(real, tmp_path, delivery):
    settings = real.settings(group_protocol="consumer", delivery=delivery, batch_records="5")
    produce(real.bootstrap_servers, settings["input_topic"], texts(300))
    with worker_process(tmp_path, **settings) as one:
        one.wait_ready()
        with worker_process(tmp_path, **settings) as other:
            wait_for(lambda: other.metric("raner_assigned_partitions") == 2, "two partitions each", other)
            produce(real.bootstrap_servers, settings["input_topic"], texts(300))
            out = read(real.bootstrap_servers, [settings["output_topic"]], 600, more_seconds=1)
            assert other.stop() == 0
        assert one.stop() == 0
    assert ids(out) == sorted([*range(300), *range(300)])


def test_a_broker_without_the_new_protocol_stops_the_worker_with_what_to_do(tmp_path):
    with running_kafka(tmp_path / "kafka", group_coordinator_rebalance_protocols="classic") as server:
        settings = Broker(server.bootstrap_servers, real=True, server=server).settings(group_protocol="consumer")
        with worker_process(tmp_path, **settings) as worker:
            assert worker.process.wait(60) == 1
    assert "RANER_GROUP_PROTOCOL=classic" in worker.log.read_text(encoding="utf-8")


def test_a_static_member_that_is_killed_and_started_again_moves_no_partition(real, tmp_path):
    settings = real.settings()
    with worker_process(tmp_path, **settings, group_instance_id="other") as other:
        with worker_process(tmp_path, **settings, group_instance_id="one") as one:
            both = (one, other)
            wait_for(
                lambda: [each.metric("raner_assigned_partitions") for each in both] == [2, 2],
                "two partitions each",
                one,
            )
        before = other.metric("raner_rebalances_total")
        with worker_process(tmp_path, **settings, group_instance_id="one") as again:
            wait_for(lambda: again.metric("raner_assigned_partitions") == 2, "the same partitions", again)
            produce(real.bootstrap_servers, settings["input_topic"], texts(50))
            assert ids(read(real.bootstrap_servers, [settings["output_topic"]], 50)) == list(range(50))
        assert other.metric("raner_rebalances_total") == before


@pytest.mark.parametrize("group_protocol", ["classic", "consumer"])
def test_a_pattern_takes_up_topics_that_are_made_later(real, tmp_path, group_protocol):
    first = real.topic(f"news-{group_protocol}-a")
    pattern = f"^news-{group_protocol}-.*-{real.prefix}$"
    settings = real.settings(input_topic=pattern, group_protocol=group_protocol, **SOON)
    produce(real.bootstrap_servers, first, texts(10))
    with worker_process(tmp_path, **settings) as worker:
        assert ids(read(real.bootstrap_servers, [settings["output_topic"]], 10)) == list(range(10))
        second = real.topic(f"news-{group_protocol}-b")
        produce(real.bootstrap_servers, second, texts(10))
        out = read(real.bootstrap_servers, [settings["output_topic"]], 20)
        assert worker.stop() == 0
    assert {json.loads(m.value())["source"]["topic"] for m in out} == {first, second}


def test_a_partition_that_is_added_is_read_from_its_beginning_even_where_a_group_starts_at_the_end(real, tmp_path):
    settings = real.settings(start_from="latest", **SOON)
    topic = settings["input_topic"]
    with worker_process(tmp_path, **settings) as worker:
        worker.wait_ready()
        wait_for(lambda: worker.events("partitions_begun"), "the first offsets", worker)
        admin = AdminClient({"bootstrap.servers": real.bootstrap_servers})
        for future in admin.create_partitions([NewPartitions(topic, 5)]).values():
            future.result()
        produce(real.bootstrap_servers, topic, texts(10, partition=4))
        assert ids(read(real.bootstrap_servers, [settings["output_topic"]], 10)) == list(range(10))
        assert worker.stop() == 0


@pytest.mark.parametrize(
    ("delivery", "group_protocol"),
    [("at-least-once", "classic"), ("exactly-once", "classic"), ("at-least-once", "consumer")],
)
def test_a_topic_that_is_deleted_and_made_again_is_read_from_its_beginning(real, tmp_path, delivery, group_protocol):
    settings = real.settings(delivery=delivery, group_protocol=group_protocol, **SOON)
    topic, output = settings["input_topic"], settings["output_topic"]
    produce(real.bootstrap_servers, topic, texts(40, partition=1))
    with worker_process(tmp_path, **settings) as worker:
        assert ids(read(real.bootstrap_servers, [output], 40)) == list(range(40))
        admin = AdminClient({"bootstrap.servers": real.bootstrap_servers})
        for future in admin.delete_topics([topic]).values():
            future.result()
        wait_for(lambda: worker.metric("raner_assigned_partitions") == 0, "the worker to notice", worker)
        for future in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
            future.result()
        produce(real.bootstrap_servers, topic, texts(60, partition=1))
        out = read(real.bootstrap_servers, [output], 100, more_seconds=2)
        assert worker.stop() == 0
    assert ids(out) == sorted([*range(40), *range(60)])
