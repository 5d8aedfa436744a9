"""What only a real Apache Kafka shows: refusals, rights, retention, lag."""

import json
import time
from contextlib import contextmanager

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from topics import committed, ids, produce, read, texts
from worker_process import wait_for, worker_process

pytestmark = pytest.mark.kafka

GROUP_TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


@contextmanager
def admin(own):
    yield AdminClient({"bootstrap.servers": own.bootstrap_servers})


def deny_writing(own, topic):
    binding = AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*",
        AclOperation.WRITE, AclPermissionType.DENY,
    )  # fmt: skip
    allow = AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*",
        AclOperation.ALL, AclPermissionType.ALLOW,
    )  # fmt: skip
    with admin(own) as client:
        for future in client.create_acls([binding, allow]).values():
            future.result()


@pytest.mark.parametrize("refused", [(7,), (7, 9)])  # librdkafka tells of several otherwise than of one
def test_timestamps_that_the_broker_refuses_cost_their_neighbours_nothing(own, tmp_path, refused):
    settings = own.settings(input_topic=own.topic("any-time", message_timestamp_after_max_ms=str(2**62)))
    future = int(time.time() * 1000) + 24 * 3_600_000
    sent = texts(20, partition=0, key="one-batch")
    for number in refused:
        sent[number]["timestamp"] = future
    produce(own.bootstrap_servers, settings["input_topic"], sent)
    with worker_process(tmp_path, **settings) as worker:
        out = read(own.bootstrap_servers, [settings["output_topic"], settings["dead_letter_topic"]], 20, more_seconds=1)
        assert worker.metric("raner_records_resent_total") >= 2
        assert worker.stop() == 0
    letters = [m for m in out if m.topic() == settings["dead_letter_topic"]]
    for headers in (dict(letter.headers()) for letter in letters):
        assert (headers["raner.reason"], headers["raner.stage"]) == (b"output_refused", b"deliver")
        assert int(headers["raner.source.timestamp"]) == future
    assert sorted(json.loads(letter.value())["id"] for letter in letters) == [*refused]
    bodies = [json.loads(m.value()) for m in out if m.topic() == settings["output_topic"]]
    assert sorted(body["id"] for body in bodies) == [i for i in range(20) if i not in refused]
    assert committed(own.bootstrap_servers, settings["group_id"], settings["input_topic"])[0] == 20


def test_without_the_right_to_publish_any_more_everything_goes_to_the_dead_letters(own, tmp_path):
    settings = own.settings()
    with worker_process(tmp_path, **settings) as worker:
        worker.wait_ready()
        deny_writing(own, settings["output_topic"])
        produce(own.bootstrap_servers, settings["input_topic"], texts(5))
        out = read(own.bootstrap_servers, [settings["dead_letter_topic"]], 5, more_seconds=1)
        assert worker.stop() == 0
    assert {dict(m.headers())["raner.reason"] for m in out} == {b"output_not_authorized"}
    assert ids(out) == list(range(5))


def test_without_the_right_to_publish_anywhere_any_more_it_stops_and_commits_nothing(own, tmp_path):
    settings = own.settings()
    with worker_process(tmp_path, **settings) as worker:
        worker.wait_ready()
        for topic in (settings["output_topic"], settings["dead_letter_topic"]):
            deny_writing(own, topic)
        produce(own.bootstrap_servers, settings["input_topic"], texts(1, partition=2))
        assert worker.process.wait(60) == 1
    log = worker.log.read_text(encoding="utf-8")
    assert "the broker took neither" in log
    assert "王小明" not in log
    assert committed(own.bootstrap_servers, settings["group_id"], settings["input_topic"])[2] == 0


def test_an_output_too_large_for_its_topic_goes_to_the_dead_letters_alone(own, tmp_path):
    small = own.topic("small", max_message_bytes="4000")
    settings = own.settings(output_topic=small, batch_records="50", large_output="dead-letter")
    sent = texts(10, partition=1)
    sent[3]["value"] = json.dumps({"id": 3, "text": "今天的天气比昨天好，大家都说。" * 200})
    produce(own.bootstrap_servers, settings["input_topic"], sent)
    with worker_process(tmp_path, kafka_producer_compression_type="none", **settings) as worker:
        out = read(own.bootstrap_servers, [settings["output_topic"], settings["dead_letter_topic"]], 10, more_seconds=1)
        assert worker.stop() == 0
    reasons = {json.loads(m.value())["id"]: dict(m.headers() or []).get("raner.reason") for m in out}
    assert reasons == {i: (b"output_too_large" if i == 3 else None) for i in range(10)}


def test_an_output_too_large_for_its_topic_comes_without_its_text_and_in_parts(own, tmp_path):
    small = own.topic("small", max_message_bytes="4000")
    settings = own.settings(output_topic=small, batch_records="50", threads="1")
    sent = texts(10, partition=1)
    sent[3]["value"] = json.dumps({"id": 3, "text": "今天的天气比昨天好，大家都说。" * 200, "more": [1, 2]})
    sent[5]["value"] = json.dumps({"id": 5, "text": "王小明在北京大学读书，周末去上海看望李红。" * 30})
    produce(own.bootstrap_servers, settings["input_topic"], sent)
    with worker_process(tmp_path, kafka_producer_compression_type="none", **settings) as worker:
        out = read(own.bootstrap_servers, [settings["output_topic"], settings["dead_letter_topic"]], 12, more_seconds=2)
        assert worker.stop() == 0
    bodies = [json.loads(m.value()) for m in out]
    assert {m.topic() for m in out} == {small}
    assert {body["id"] for body in bodies} == set(range(10))
    (omitted,) = [body for body in bodies if body["id"] == 3]
    assert (omitted["text"], omitted["text_omitted"]["length"], "parts" in omitted) == (None, 3_000, False)
    assert omitted["attributes"] == {"more": [1, 2]}
    parts = {body["part"]: body for body in bodies if body["id"] == 5}
    assert sorted(parts) == list(range(1, parts[1]["parts"] + 1))
    assert len({body["record_id"] for body in parts.values()}) == 1
    starts = [entity["start"] for _, body in sorted(parts.items()) for entity in body["entities"]]
    assert len(starts) == len(set(starts)) >= 90
    assert starts == sorted(starts)
    assert len([body for body in bodies if body["id"] == 5]) == len(parts)
    places = sorted((m.partition(), m.offset(), json.loads(m.value())["part"]) for m in out if b'"part":' in m.value())
    assert len({partition for partition, _, _ in places}) == 1  # though the record has no key
    assert [part for _, _, part in places] == sorted(parts)
    assert committed(own.bootstrap_servers, settings["group_id"], settings["input_topic"])[1] == 10


def test_an_input_as_large_as_the_broker_takes_comes_out(own, tmp_path):
    settings = own.settings(threads="1")
    text = "今天的天气比昨天好，王小明都说。" * 4_000
    body = json.dumps({"id": 1, "text": text, "more": "x" * 848_000}, ensure_ascii=False).encode()
    assert 1_035_000 < len(body) < 1_048_000
    produce(own.bootstrap_servers, settings["input_topic"], [{"value": body}])
    with worker_process(tmp_path, kafka_producer_compression_type="none", **settings) as worker:
        out = read(own.bootstrap_servers, [settings["output_topic"], settings["dead_letter_topic"]], 1, more_seconds=2)
        assert worker.stop() == 0
    assert {m.topic() for m in out} == {settings["output_topic"]}
    bodies = [json.loads(m.value()) for m in out]
    assert {body["text_omitted"]["length"] for body in bodies} == {len(text)}
    assert sum(len(body["entities"]) for body in bodies) == 4_000
    (first,) = [body for body in bodies if body.get("part", 1) == 1]
    assert first["attributes"] == {"more": "x" * 848_000}


def test_an_output_topic_that_is_not_there_stops_it_with_its_name(own, tmp_path):
    settings = own.settings(output_topic="nowhere-to-be-found", kafka_producer_topic_metadata_propagation_max_ms="1000")
    produce(own.bootstrap_servers, settings["input_topic"], texts(1))
    with worker_process(tmp_path, **settings) as worker:
        assert worker.process.wait(60) == 1
    assert "nowhere-to-be-found" in worker.log.read_text(encoding="utf-8")


def removed_by_retention(own, tmp_path, before):
    """Have 10 of 40 records worked and committed, and those `before` an offset removed; return the settings."""
    settings = own.settings()
    servers, topic = own.bootstrap_servers, settings["input_topic"]
    produce(servers, topic, texts(10, partition=0))
    with worker_process(tmp_path, **settings) as worker:
        read(servers, [settings["output_topic"]], 10)
        assert worker.stop() == 0
    produce(servers, topic, texts(30, partition=0))
    with admin(own) as client:
        for future in client.delete_records([TopicPartition(topic, 0, before)]).values():
            future.result()
    return settings


def test_offsets_that_retention_removed_are_counted_and_passed_over(own, tmp_path):
    settings = removed_by_retention(own, tmp_path, before=25)
    servers, topic = own.bootstrap_servers, settings["input_topic"]
    with worker_process(tmp_path, **settings) as worker:
        out = read(servers, [settings["output_topic"]], 25, more_seconds=1)
        assert worker.metric("raner_offsets_skipped_total", topic=topic, partition="0") == 15
        assert worker.stop() == 0
    assert len(out) == 25
    (event,) = worker.events("offsets_skipped")
    assert (event["expected"], event["start"], event["skipped"]) == (10, 25, 15)


def test_a_partition_that_retention_emptied_is_passed_over_once_and_is_no_lag(own, tmp_path):
    settings = removed_by_retention(own, tmp_path, before=40)
    servers, topic = own.bootstrap_servers, settings["input_topic"]
    with worker_process(tmp_path, **settings) as worker:
        wait_for(lambda: worker.metric("raner_offsets_skipped_total", partition="0") == 30, "the skip", worker)
        wait_for(lambda: committed(servers, settings["group_id"], topic)[0] == 40, "the new start committed", worker)
        wait_for(lambda: worker.metric("raner_lag_records", partition="0") == 0, "no lag", worker)
        assert worker.stop() == 0


def test_kafkas_own_tools_see_no_lag_after_a_stop(own, tmp_path):
    settings = own.settings()
    produce(own.bootstrap_servers, settings["input_topic"], texts(200))
    with worker_process(tmp_path, **settings) as worker:
        read(own.bootstrap_servers, [settings["output_topic"]], 200)
        assert worker.stop() == 0
    place = ("--bootstrap-server", own.bootstrap_servers, "--group", settings["group_id"])
    rows = [line.split() for line in own.server.tool(GROUP_TOOL, *place, "--describe").splitlines() if line.strip()]
    lag = rows[0].index("LAG")
    assert [row[lag] for row in rows[1:]] == ["0"] * 4


def test_the_lag_stays_right_between_commits_and_goes_with_the_partitions(own, tmp_path):
    settings = own.settings()
    with worker_process(tmp_path, **settings, transactional_id="one") as one:
        one.wait_ready()
        produce(own.bootstrap_servers, settings["input_topic"], texts(200))
        wait_for(lambda: one.metric("raner_records_out_total") == 200, "all records", one)
        wait_for(lambda: one.metric("raner_lag_records") == 0, "no lag", one)
        time.sleep(5)  # statistics come every two seconds
        assert one.metric("raner_lag_records") == 0
        with worker_process(tmp_path, **settings, transactional_id="other") as other:
            wait_for(lambda: other.metric("raner_assigned_partitions") == 2, "two partitions each", other)
            time.sleep(5)
            owned = {place for event in one.events("partitions_revoked") for place in event["partitions"]}
            assert len(owned) == 2
            lags = [line for line in one.get("/metrics")[1].splitlines() if line.startswith("raner_lag_records{")]
            assert len(lags) == 2
            assert not [line for line in lags for place in owned if f'partition="{place[-2]}"' in line]
