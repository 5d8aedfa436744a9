"""The worker as a process, between someone else's producer and consumer. One body for both brokers."""

import json
import time
from collections import Counter
from contextlib import ExitStack

import pytest
from topics import committed, ids, produce, produce_named, read, texts
from worker_process import wait_for, worker_process

import nlp
from consumer.demo.feed import messages
from schemas.messages import record_id

TEXTS = [
    "王小明在北京大学读书，周末去上海看望李红。",
    "馬英九在臺北會見了賴清德。",
    "今天天气不错😀",
    "",
    "他说：[SEP]腾讯公司在深圳。",
]


def topics(settings):
    return [settings["output_topic"], settings["dead_letter_topic"]]


def test_every_record_comes_out_once_as_the_core_would_annotate_it(broker, tmp_path):
    settings = broker.settings()
    sent = [
        {
            "value": json.dumps({"id": i, "text": text, "n": 1.10}),
            "key": f"k{i % 3}",
            "timestamp": 1_700_000_000_000 + i,
        }
        for i, text in enumerate(TEXTS * 8)
    ]
    produce(broker.bootstrap_servers, settings["input_topic"], sent)
    with worker_process(tmp_path, **settings) as worker:
        out = read(broker.bootstrap_servers, topics(settings), len(sent), more_seconds=1)
        wait_for(lambda: worker.metric("raner_lag_records") == 0, "no lag", worker)
        assert worker.metric("raner_records_out_total") == len(sent)
        assert worker.stop() == 0
    expected = dict(zip(TEXTS, nlp.load().annotate(TEXTS), strict=True))
    bodies = [json.loads(message.value()) for message in out]
    assert sorted(body["id"] for body in bodies) == list(range(len(sent)))
    for message, body in zip(out, bodies, strict=True):
        number, source = body["id"], body["source"]
        spans = [(s.start, s.end, s.label, round(s.score, 6)) for s in expected[TEXTS[number % len(TEXTS)]]]
        assert [(e["start"], e["end"], e["type"], e["score"]) for e in body["entities"]] == spans
        assert (message.key(), message.timestamp()[1]) == (f"k{number % 3}".encode(), 1_700_000_000_000 + number)
        assert b'"attributes":{"n":1.1}' in message.value()
        assert body["record_id"] == record_id(
            source["topic"], source["partition"], source["offset"], source["timestamp"]
        )
    ends = Counter(body["source"]["partition"] for body in bodies)
    assert committed(broker.bootstrap_servers, settings["group_id"], settings["input_topic"]) == [
        ends[n] for n in range(4)
    ]


def test_a_header_whose_name_is_not_utf8_costs_its_record_alone(broker, tmp_path):
    settings = broker.settings()
    servers, topic = broker.bootstrap_servers, settings["input_topic"]
    produce_named(servers, topic, "来源".encode("gb18030"), '{"text": "王小明"}'.encode())
    produce(servers, topic, [{"value": '{"text": "王小明"}'}])
    with worker_process(tmp_path, **settings) as worker:
        out = {m.topic(): m for m in read(servers, topics(settings), 2)}
        assert worker.stop() == 0
    assert out.keys() == {settings["output_topic"], settings["dead_letter_topic"]}
    letter = out[settings["dead_letter_topic"]]
    headers = dict(letter.headers())
    assert letter.value() == '{"text": "王小明"}'.encode()
    assert headers["raner.reason"] == b"headers_not_utf8"
    assert headers["raner.error"].startswith(b"a header's name, byte 0 of 4: invalid start byte")


def test_a_key_that_fills_a_message_alone_is_left_out_of_the_dead_letter(broker, tmp_path):
    settings = broker.settings(kafka_producer_message_max_bytes="5000")
    sent = [{"value": b"\xff", "key": b"k" * 4_950}, {"value": '{"text": "王小明"}'}]
    produce(broker.bootstrap_servers, settings["input_topic"], sent)
    with worker_process(tmp_path, **settings) as worker:
        out = {m.topic(): m for m in read(broker.bootstrap_servers, topics(settings), 2)}
        assert worker.stop() == 0
    letter = out[settings["dead_letter_topic"]]
    told = json.loads(letter.value())
    assert (letter.key(), told["length"], told["key_length"]) == (None, 1, 4_950)
    assert dict(letter.headers())["raner.reason"] == b"not_utf8"


def test_the_order_of_a_key_is_kept(broker, tmp_path):
    settings = broker.settings(batch_records="5")
    produce(
        broker.bootstrap_servers,
        settings["input_topic"],
        [{"value": json.dumps({"text": "王小明", "n": i}), "key": f"key-{i % 6}"} for i in range(120)],
    )
    with worker_process(tmp_path, **settings):
        out = read(broker.bootstrap_servers, topics(settings), 120)
    for key in range(6):
        numbers = [json.loads(m.value())["attributes"]["n"] for m in out if m.key() == f"key-{key}".encode()]
        assert numbers == list(range(key, 120, 6))


def test_what_cannot_be_processed_goes_to_the_dead_letters_with_all_it_had(broker, tmp_path):
    settings = broker.settings(max_chars="50")
    bad = {
        "not_utf8": b"\xff\xfe",
        "not_json": b"{",
        "no_text": b'{"title": "x"}',
        "not_text": b'{"text": 1}',
        "too_long": json.dumps({"text": "长" * 51}).encode(),
    }
    sent = [{"value": value, "key": reason, "headers": [("trace", b"t1")]} for reason, value in bad.items()]
    sent += [{"value": '{"text": "王小明"}', "key": "good"}, {"value": None, "key": "tombstone"}]
    produce(broker.bootstrap_servers, settings["input_topic"], sent)
    with worker_process(tmp_path, **settings) as worker:
        out = {m.key().decode(): m for m in read(broker.bootstrap_servers, topics(settings), len(sent))}
        wait_for(lambda: worker.metric("raner_dead_letters_total") == len(bad), "the count", worker)
        assert worker.stop() == 0
    for reason, value in bad.items():
        letter = out[reason]
        headers = dict(letter.headers())
        assert (letter.topic(), letter.value(), headers["trace"]) == (settings["dead_letter_topic"], value, b"t1")
        assert (headers["raner.reason"], headers["raner.stage"]) == (reason.encode(), b"decode")
        assert headers["raner.source.topic"] == settings["input_topic"].encode()
        assert int(headers["raner.source.timestamp"]) > 1_700_000_000_000
    assert (out["tombstone"].topic(), out["tombstone"].value()) == (settings["output_topic"], None)
    assert "王小明" in out["good"].value().decode()
    assert "长长" not in worker.log.read_text(encoding="utf-8")


def test_a_clean_stop_and_a_new_start_lose_and_double_nothing(broker, tmp_path):
    settings = broker.settings(batch_records="7")
    produce(broker.bootstrap_servers, settings["input_topic"], texts(400))
    for _ in range(2):
        with worker_process(tmp_path, **settings) as worker:
            wait_for(lambda worker=worker: worker.metric("raner_records_out_total") >= 20, "some records", worker)
            assert worker.stop() == 0
    with worker_process(tmp_path, **settings) as worker:
        out = read(broker.bootstrap_servers, topics(settings), 400, more_seconds=2)
        assert worker.stop() == 0
    assert ids(out) == list(range(400))


def test_one_or_three_workers_and_any_batches_give_the_same_entities(broker, tmp_path):
    values = [{"value": m.value, "key": m.key} for m in messages(150)]
    shared = broker.settings(threads="1")
    produce(broker.bootstrap_servers, shared["input_topic"], values)
    others = {"batch_records": "3", "batch_tokens": "128", "long_chars": "100"}
    results = []
    for workers, changes in ((1, {}), (3, others)):
        group = f"{shared['group_id']}-{workers}"
        told = {**shared, **changes, "group_id": group, "output_topic": broker.topic(f"out-of-{workers}")}
        with ExitStack() as stack:
            for _ in range(workers):
                stack.enter_context(worker_process(tmp_path, **told))
            place = (broker.bootstrap_servers, group, shared["input_topic"])
            wait_for(lambda place=place: sum(max(0, offset) for offset in committed(*place)) == 150, "all commits")
        bodies = [m.value() for m in read(broker.bootstrap_servers, [told["output_topic"]], 140, more_seconds=1)]
        results.append({json.loads(body)["record_id"]: entities_as_written(body) for body in bodies})
    assert len(results[0]) > 140
    assert results[0] == results[1]


def entities_as_written(body):
    return body[body.index(b'"entities":') : body.index(b',"offset_unit"')]


def text_that_takes(seconds, **options):
    """Return a text that a thread of this machine is busy with for about so long."""
    sentence = "今天的天气比昨天好，大家都说可以出去走一走。"
    annotator = nlp.load(threads=1, **options)
    begun = time.monotonic()
    annotator.annotate([sentence * 20])
    return sentence * int(20 * seconds / (time.monotonic() - begun))


def test_a_long_text_keeps_the_membership_and_lets_short_ones_of_other_partitions_go_first(broker, tmp_path):
    settings = broker.settings(
        threads="1",
        window="40",
        overlap="35",  # eight times the work
        max_chars="1000000",
        kafka_max_poll_interval_ms="6000",
        kafka_session_timeout_ms="6000",
    )
    servers, topic = broker.bootstrap_servers, settings["input_topic"]
    # Three times what the group waits for a poll.
    long_text = text_that_takes(18, window=40, overlap=35) + "王小明在北京。"
    produce(servers, topic, [{"value": json.dumps({"id": "long", "text": long_text}), "key": "k", "partition": 0}])
    produce(servers, topic, [{"value": json.dumps({"id": "behind", "text": "李红"}), "key": "k", "partition": 0}])
    with worker_process(tmp_path, **settings) as worker:
        wait_for(lambda: worker.metric("raner_long_documents") == 1, "the long text to be begun", worker)
        produce(servers, topic, [{"value": json.dumps({"id": "short", "text": "张三在广州"}), "partition": 1}])
        short = read(servers, topics(settings), 1)
        out = [json.loads(m.value()) for m in read(servers, topics(settings), 3)]
        assert worker.get("/healthz")[0] == 200
        assert worker.metric("raner_rebalances_total") == 1
        assert worker.stop() == 0
    took = {body["id"]: body["processing"]["milliseconds"] for body in out}
    assert took["long"] > 6_000, "it has to take longer than the group waits for a poll, or the test shows nothing"
    assert [json.loads(m.value())["id"] for m in short] == ["short"]
    assert [body["id"] for body in out if body["source"]["partition"] == 0] == ["long", "behind"]


@pytest.mark.parametrize("start_from", ["earliest", "latest"])
def test_a_group_that_never_committed_commits_where_it_begins(broker, tmp_path, start_from):
    settings = broker.settings(start_from=start_from)
    produce(broker.bootstrap_servers, settings["input_topic"], [{"value": b"{", "partition": n} for n in (0, 0, 1)])
    with worker_process(tmp_path, **settings) as worker:
        worker.wait_ready()
        expected = [2, 1, 0, 0]
        place = (broker.bootstrap_servers, settings["group_id"], settings["input_topic"])
        wait_for(lambda: committed(*place) == expected, "the commits", worker)
        assert worker.metric("raner_dead_letters_total") == (3 if start_from == "earliest" else 0)
        assert worker.stop() == 0


def test_it_is_ready_once_it_can_work_and_says_what_is_missing_before(broker, tmp_path):
    settings = broker.settings()
    with worker_process(tmp_path, **settings) as worker:
        reasons = set()

        def ready():
            status, reason = worker.get("/readyz")
            reasons.add(reason.strip())
            return status == 200

        wait_for(ready, "readiness", worker)
        assert worker.metric("raner_assigned_partitions") == 4
        assert worker.stop() == 0
    assert reasons <= {"", "starting", "the group has given this worker no assignment yet", "ok"}
    assert len(reasons) > 1
    assigned = worker.events("partitions_assigned")[0]["partitions"]
    assert sorted(assigned) == [f"{settings['input_topic']}[{n}]" for n in range(4)]
    assert worker.events("partitions_revoked")


def test_a_broker_that_is_not_there_is_waited_for_and_a_stop_still_ends_it(tmp_path):
    with worker_process(tmp_path, bootstrap_servers="127.0.0.1:1", input_topic="a", output_topic="b") as worker:
        wait_for(lambda: "brokers are down" in worker.get("/readyz")[1], "the reason", worker)
        assert worker.get("/healthz")[0] == 200
        assert worker.stop() == 0
    assert len(worker.events("rights_unknown")) == 1
    errors = [(event["client"], event["code"]) for event in worker.events("kafka_error")]
    assert len(errors) == len(set(errors)), "an error is tried again many times a second, and told once"
    lines = [event["reason"].partition("(after")[0] for event in worker.events("librdkafka")]
    assert 0 < len(lines) == len(set(lines))
    assert all(event["event"].isidentifier() for event in worker.events())


def test_wrong_settings_end_it_with_status_2_and_the_reason(tmp_path):
    with worker_process(tmp_path, input_topic="a", output_topic="b") as worker:
        assert worker.process.wait(30) == 2
    assert "bootstrap_servers is not set" in worker.log.read_text()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"kafka_lingr_ms": "1"}, 'No such configuration property: "lingr.ms"'),
        ({"kafka_security_protocol": "SALS_SSL"}, 'Invalid value "SALS_SSL" for configuration property'),
        ({"tls_ca": "nowhere.pem"}, "ssl.ca.location"),
        ({"input_topic": "^a{70000}"}, "librdkafka refused input_topic '^a{70000}'"),
    ],
)
def test_what_librdkafka_refuses_ends_it_with_status_2_and_the_reason(tmp_path, told, said):
    given = {"bootstrap_servers": "127.0.0.1:1", "input_topic": "a", "output_topic": "b"}
    with worker_process(tmp_path, **{**given, **told}) as worker:
        assert worker.process.wait(60) == 2
    assert said in worker.events("failed")[0]["error"]
