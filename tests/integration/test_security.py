"""Names, certificates and rights on a real Kafka that asks for them."""

import json
import uuid

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from secured import PASSWORD, running_secured
from worker_process import wait_for, worker_process

pytestmark = pytest.mark.kafka

TEXT = "王小明在北京"


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    with running_secured(tmp_path_factory.mktemp("secured") / "kafka") as server:
        yield server


@pytest.fixture
def prefix():
    return uuid.uuid4().hex[:8]


def scram(tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    return {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "worker", "sasl_password_file": str(file)}


LOGINS = {
    "scram": scram,
    "plain": lambda _: {"sasl_mechanism": "PLAIN", "sasl_username": "worker", "sasl_password": PASSWORD},
    "oauth": lambda _: {
        "sasl_mechanism": "OAUTHBEARER",
        "kafka_enable_sasl_oauthbearer_unsecure_jwt": "true",
        "kafka_sasl_oauthbearer_config": "principal=worker",
    },
}


def send(secured, topic):
    producer = Producer(secured.as_admin())
    producer.produce(topic, json.dumps({"text": TEXT}))
    assert producer.flush(30) == 0


def first(secured, topic):
    reader = Consumer(secured.as_admin(**{"group.id": "reader"}))
    reader.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in range(2)])
    message = wait_for(lambda: reader.poll(1.0), "a message")
    reader.close()
    return json.loads(message.value())


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_worker_with_its_rights_works(secured, prefix, tmp_path, login, delivery):
    settings = secured.topics(prefix) | LOGINS[login](tmp_path)
    secured.grant("worker", prefix)
    send(secured, settings["input_topic"])
    with worker_process(tmp_path, **settings, delivery=delivery, transactional_id=f"{prefix}-id") as worker:
        assert first(secured, settings["output_topic"])["text"] == TEXT
        status, page = worker.get("/metrics")
        assert status == 200
        assert worker.stop() == 0
    log = worker.log.read_text(encoding="utf-8")
    assert PASSWORD not in log + page
    assert not worker.events("rights_unknown")


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("in", "to read the topic '{}-in'"),
        ("out", "to write the topic '{}-out'"),
        ("dead", "to write the topic '{}-dead'"),
        ("group", "{}-group"),
        ("id", "{}-id"),
    ],
)
def test_a_worker_without_a_right_ends_at_the_start_and_names_it(secured, prefix, tmp_path, missing, told):
    settings = secured.topics(prefix) | scram(tmp_path)
    secured.grant("worker", prefix, but=missing)
    with worker_process(tmp_path, **settings, delivery="exactly-once", transactional_id=f"{prefix}-id") as worker:
        assert worker.process.wait(60) == 1
    (event,) = worker.events("failed")
    assert told.format(prefix) in event["error"]


def test_a_wrong_password_is_named_in_the_log_and_never_printed(secured, prefix, tmp_path):
    settings = secured.topics(prefix) | scram(tmp_path)
    (tmp_path / "password").write_text("wrong-and-secret")
    with worker_process(tmp_path, **settings) as worker:
        assert worker.process.wait(60) == 1
    log = worker.log.read_text(encoding="utf-8")
    assert "uthentication failed" in log
    assert "wrong-and-secret" not in log


def test_a_worker_without_the_certificate_is_not_let_in(secured, prefix, tmp_path):
    settings = secured.topics(prefix) | scram(tmp_path)
    for name in ("tls_certificate", "tls_key"):
        del settings[name]
    with worker_process(tmp_path, **settings) as worker:
        assert worker.process.wait(60) == 1
    (event,) = worker.events("failed")
    assert "do not let this worker in" in event["error"]
