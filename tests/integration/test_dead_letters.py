"""Dead letters on a real Kafka: a limit that survives restarts, and a cause that is mended."""

import json
import os
import subprocess
import sys

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from secured import PASSWORD, running_secured
from topics import committed, ids, produce, read
from worker_process import wait_for, worker_process

pytestmark = pytest.mark.kafka


def dlq(settings, *arguments, status=0):
    """Run `raner-stream dlq` with a worker's settings and return what it prints, errors where it ends with another."""
    told = {f"RANER_{name.upper()}": value for name, value in settings.items()}
    others = {name: value for name, value in os.environ.items() if not name.startswith("RANER_")}
    command = [sys.executable, "-m", "consumer", "dlq", *arguments]
    done = subprocess.run(command, check=False, env=others | told, capture_output=True, text=True, timeout=90)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def limit(servers, topic, size):
    """Set what a topic takes at most."""
    entry = ConfigEntry("max.message.bytes", size, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result()


def send_as_admin(secured, topic, values):
    producer = Producer(secured.as_admin())
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def allow(secured, kind, name, operation):
    """Give the user `worker` a right on all that begins with a name."""
    told = (ResourcePatternType.PREFIXED, "User:worker", "*", operation, AclPermissionType.ALLOW)
    for future in secured.admin.create_acls([AclBinding(kind, name, *told)]).values():
        future.result()


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_worker_over_the_limit_stops_and_however_often_it_starts_the_topic_stays_as_it_is(real, tmp_path, delivery):
    settings = real.settings(delivery=delivery, dead_letter_consecutive="20", batch_records="8")
    sent = [{"value": "{broken", "partition": 0, "key": "k"} for _ in range(100)]
    produce(real.bootstrap_servers, settings["input_topic"], sent)
    for _ in range(3):
        with worker_process(tmp_path, **settings) as worker:
            assert worker.process.wait(60) == 5
            (event,) = worker.events("failed")
            assert "20 records in a row" in event["error"]
            assert "RANER_DEAD_LETTER_CONSECUTIVE" in event["error"]
    done = committed(real.bootstrap_servers, settings["group_id"], settings["input_topic"])[0]
    assert 0 < done < 20
    out = read(real.bootstrap_servers, [settings["dead_letter_topic"]], done, more_seconds=1)
    assert len(out) == done


def test_once_the_cause_is_mended_a_replay_brings_the_records_through(real, tmp_path):
    settings = real.settings(dead_letter_headers="connect,spring")
    servers = real.bootstrap_servers
    values = [json.dumps({"id": i, "text": "王小明在北京"}, ensure_ascii=False) for i in range(30)]
    texts = [{"value": value, "headers": [("h", b"1")]} for value in values]
    produce(servers, settings["input_topic"], [*texts, {"value": "{broken"}])
    with worker_process(tmp_path, **settings, text_fields="body") as worker:
        wait_for(lambda: worker.metric("raner_dead_letters_total") == 31, "the dead letters", worker)
        assert worker.stop() == 0
    listed = [json.loads(line) for line in dlq(settings, "list", "--format", "json").splitlines()]
    assert sorted(row["reason"] for row in listed) == ["no_text"] * 30 + ["not_json"]
    assert "王小明" not in dlq(settings, "list")
    assert "王小明" in dlq(settings, "show", next(row["place"] for row in listed if row["reason"] == "no_text"))

    only = ("replay", "--filter", "reason=no_text")
    assert "30\twould be replayed" in dlq(settings, *only, "--dry-run")
    assert "30\treplayed" in dlq(settings, *only, "--rate", "200")
    assert "0\treplayed" in dlq(settings, *only)
    with worker_process(tmp_path, **settings) as worker:
        out = read(servers, [settings["output_topic"]], 30, more_seconds=1)
        assert worker.stop() == 0
    assert ids(out) == list(range(30))
    assert {tuple(m.headers()) for m in out} == {(("h", b"1"), ("raner.replay.attempts", b"1"))}


def test_a_record_that_fails_again_and_again_is_replayed_only_so_often(real, tmp_path):
    settings = real.settings()
    produce(real.bootstrap_servers, settings["input_topic"], [{"value": "{broken"}])
    with worker_process(tmp_path, **settings) as worker:
        for attempt in range(3):
            wait_for(lambda n=attempt: worker.metric("raner_dead_letters_total") == n + 1, "the dead letter", worker)
            told = dlq(settings, "replay", "--max-attempts", "2")
            assert ("1\treplayed" if attempt < 2 else "1\tpassed over, exhausted") in told
        assert worker.stop() == 0
    letters = [json.loads(line) for line in dlq(settings, "list", "--format", "json").splitlines()]
    assert sorted(letter["attempts"] for letter in letters) == ["0", "1", "2"]


def test_a_record_that_its_topic_does_not_take_holds_up_none_and_is_met_again_by_the_next_replay(real, tmp_path):
    settings = real.settings()
    servers, topic = real.bootstrap_servers, settings["input_topic"]
    texts = [os.urandom(5_000).hex() if i == 3 else "王小明在北京" for i in range(20)]
    produce(servers, topic, [{"value": json.dumps({"text": text}), "partition": 0} for text in texts])
    with worker_process(tmp_path, **settings, text_fields="body") as worker:
        wait_for(lambda: worker.metric("raner_dead_letters_total") == 20, "the dead letters", worker)
        assert worker.stop() == 0
    limit(servers, topic, "3000")
    for already in (19, 0):
        told = dlq(settings, "replay", status=1)
        assert f"{already} replayed, 1 refused by the broker. 1 to {topic}" in told
        assert "MSG_SIZE_TOO_LARGE" in told
        assert "raise its max.message.bytes" in told
        assert "1\twould be replayed" in dlq(settings, "replay", "--dry-run")
    limit(servers, topic, "1000000")
    assert "1\treplayed" in dlq(settings, "replay")
    assert "0\treplayed" in dlq(settings, "replay")
    assert len(read(servers, [topic], 40, more_seconds=1)) == 40


def test_a_replay_without_the_right_to_write_says_so_and_with_it_sends_everything(tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    login = {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "worker", "sasl_password_file": str(file)}
    with running_secured(tmp_path / "kafka") as secured:
        settings = secured.topics("my") | login
        topic = settings["input_topic"]
        secured.grant("worker", "my")
        send_as_admin(secured, topic, ["{broken"] * 250)
        with worker_process(tmp_path, **settings, dead_letter_consecutive="0") as worker:
            wait_for(lambda: worker.metric("raner_dead_letters_total") == 250, "the dead letters", worker)
            assert worker.stop() == 0
        allow(secured, ResourceType.TOPIC, settings["dead_letter_topic"], AclOperation.READ)
        allow(secured, ResourceType.GROUP, f"{settings['group_id']}.dlq", AclOperation.READ)
        for filters in ((), ("--filter", "reason=not_json")):
            told = dlq(settings, "replay", *filters, status=1)
            assert f"0 replayed, 100 refused by the broker. 100 to {topic}, first that of " in told
            assert "TOPIC_AUTHORIZATION_FAILED); grant the right to write to it" in told
            assert "It stopped there" in told
        allow(secured, ResourceType.TOPIC, topic, AclOperation.WRITE)
        assert "250\treplayed" in dlq(settings, "replay")
        assert "0\treplayed" in dlq(settings, "replay")
