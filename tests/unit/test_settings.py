from pathlib import Path

import pytest
from confluent_kafka import Consumer

from consumer import settings
from consumer.errors import SettingsError
from consumer.given import masked, shown
from consumer.kafka.clients import consumer_properties, max_message_bytes, producer_properties, silent_seconds
from consumer.kafka.security import connection_properties
from consumer.settings import kafka_properties, load
from consumer.topics import reads

NEEDED = {"bootstrap_servers": "b:1", "input_topic": "in", "output_topic": "out"}


def loaded(flags=(), environment=(), file=None):
    return load({**NEEDED, **dict(flags)}, dict(environment), file)


def test_flags_come_before_the_environment_before_the_file_before_defaults(tmp_path):
    file = tmp_path / "worker.toml"
    file.write_text('threads = 3\nwindow = 100\nmax_chars = 50\ngroup_id = "file"\n')
    environment = {"RANER_THREADS": "2", "RANER_WINDOW": "90", "RANER_CONFIG": str(file)}
    result = load({**NEEDED, "threads": "1"}, environment)
    values = result.settings
    assert (values.threads, values.window, values.max_chars, values.overlap) == (1, 90, 50, None)
    assert [result.origins.get(name) for name in ("threads", "window", "max_chars", "overlap")] == [
        "flag", "environment", f"file {file}", None
    ]  # fmt: skip


def test_everything_missing_is_named_at_once():
    with pytest.raises(SettingsError) as caught:
        load({}, {})
    for name in ("RANER_BOOTSTRAP_SERVERS", "--input-topic", "output_topic is not set"):
        assert name in str(caught.value)


def test_queues_of_any_size_make_clients_and_hold_the_messages_that_are_taken():
    values = loaded({"fetch_queue": "100KiB", "send_queue": "1MB"}).settings
    Consumer(consumer_properties(values)).close()
    properties = producer_properties(values)
    assert properties["message.max.bytes"] == properties["queue.buffering.max.kbytes"] * 1024 < 1_000_000


def test_what_kubernetes_tells_of_a_service_of_our_name_is_no_setting():
    assert loaded(environment={"RANER_STREAM_PORT": "tcp://10.0.0.1:9464"}).settings.http_port == 9464


def test_an_unknown_variable_fails():
    with pytest.raises(SettingsError, match=r"unknown in the environment: RANER_TREADS; known are RANER_BACKLOG"):
        loaded(environment={"RANER_TREADS": "1"})


def test_an_unknown_key_of_the_file_fails(tmp_path):
    (tmp_path / "a.toml").write_text("treads = 1")
    with pytest.raises(SettingsError, match=r"unknown in .*a.toml: treads"):
        loaded(file=tmp_path / "a.toml")


@pytest.mark.parametrize("content", ["= 1", None])
def test_a_file_that_cannot_be_read_fails(tmp_path, content):
    if content:
        (tmp_path / "a.toml").write_text(content)
    with pytest.raises(SettingsError, match="cannot be read as TOML"):
        loaded(file=tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"threads": "many"}, r"threads is 'many' \(flag\).*--threads, RANER_THREADS"),
        ({"delivery": "at-most-once"}, "Input should be 'at-least-once' or 'exactly-once'"),
        ({"kafka": ["transactional.id=x"]}, "use RANER_TRANSACTIONAL_ID"),
        ({"memory_cap": "lots"}, "'lots' is no size"),
        ({"http_port": "99999"}, "less than or equal to 65535"),
        ({"window": "30", "overlap": "30"}, "expected overlap < window"),
        ({"output_topic": "in"}, "expected three different ones"),
        ({"text_fields": "title,,body"}, "at least 1 character"),
        ({"input_topic": "^o.*"}, "also matches out and out.dead-letters"),
        ({"input_topic": "^raw|out$"}, "also matches out, and.*alternatives in brackets"),
        ({"input_topic": "^("}, "no regular expression"),
        ({"input_topic": r"^news\d$"}, r"has '\\\\d', which.*\[0-9\] for a digit"),
        ({"input_topic": "^news(?!-out)"}, r"has '\(\?'"),
        ({"input_topic": "^news[[:digit:]]"}, r"has '\[\[:'"),
        (
            {"group_protocol": "consumer", "kafka": ["session.timeout.ms=9000"]},
            "session.timeout.ms is not the worker's",
        ),
        ({"kafka": ["message.max.bytes=9000000"]}, "raise RANER_SEND_QUEUE"),
        ({"kafka": ["acks"]}, "expected name=value"),
        ({"kafka": ["enable.auto.commit=true"]}, "not yours to set"),
        ({"kafka": ["consumer.group.id=x"]}, "use RANER_GROUP_ID"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_was_expected(flags, told):
    with pytest.raises(SettingsError, match=told):
        loaded(flags)


@pytest.mark.parametrize(
    ("written", "size"),
    [("200MiB", 200 * 1024**2), ("1 GB", 10**9), ("1.5ki", 1536), ("4096", 4096), (4096, 4096), ("2g", 2 * 10**9)],
)
def test_sizes_have_units(written, size):
    assert loaded({"memory_cap": written}).settings.memory_cap == size


def login(**settings):
    return connection_properties(loaded(settings).settings)


def test_a_secret_comes_from_its_file_and_a_login_goes_over_tls(tmp_path):
    (tmp_path / "password").write_text("s3cret\n")
    told = login(sasl_mechanism="PLAIN", sasl_username="me", sasl_password_file=str(tmp_path / "password"))
    assert (told["sasl.password"], told["security.protocol"]) == ("s3cret", "SASL_SSL")
    assert login(tls_ca="ca.pem")["security.protocol"] == "SSL"
    assert "security.protocol" not in login()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"sasl_mechanism": "PLAIN", "sasl_username": "me"},
            "PLAIN needs RANER_SASL_USERNAME",
        ),
        ({"sasl_username": "me", "sasl_password": "a"}, "no way to: it would not be used; set RANER_SASL_MECHANISM"),
        ({"sasl_password": "a", "sasl_password_file": "b"}, "are both given"),
        ({"sasl_password_file": "nowhere"}, "sasl_password_file nowhere cannot be read"),
    ],
)
def test_a_login_that_lacks_something_is_refused(settings, told):
    with pytest.raises(SettingsError, match=told):
        login(**settings)


def test_no_secret_is_shown():
    hidden = "*" * 8
    assert [shown(name, "a") for name in ("sasl_password", "tls_key_password")] == [hidden, hidden]
    assert [shown("sasl_password", ""), shown("sasl_password_file", Path("p"))] == ["", "p"]


def test_an_empty_variable_counts_as_none():
    found = loaded(environment={"RANER_MODEL": "", "RANER_THREADS": "", "RANER_KAFKA_SECURITY_PROTOCOL": ""}).settings
    assert (found.model, found.kafka) == ("default", {})


def test_dead_letters_have_a_topic_of_their_own_by_default():
    assert loaded().settings.dead_letter_topic == "out.dead-letters"


def test_librdkafka_properties_come_from_every_source(tmp_path):
    (tmp_path / "a.toml").write_text('[kafka]\nsecurity.protocol = "SASL_SSL"\n"socket.keepalive.enable" = true\n')
    result = loaded(
        flags={"kafka": ["linger.ms=7"]},
        environment={"RANER_KAFKA_SASL_PASSWORD": "s3cret", "RANER_KAFKA_CONSUMER_FETCH_MIN_BYTES": "9"},
        file=tmp_path / "a.toml",
    ).settings
    assert kafka_properties(result, "producer") == {
        "security.protocol": "SASL_SSL",
        "socket.keepalive.enable": "true",
        "linger.ms": "7",
        "sasl.password": "s3cret",
    }
    assert kafka_properties(result, "consumer")["fetch.min.bytes"] == "9"


@pytest.mark.parametrize("told", [["consumer.linger.ms=1", "linger.ms=2"], ["linger.ms=2", "consumer.linger.ms=1"]])
def test_a_property_of_one_side_goes_before_that_of_both_in_whatever_order_they_come(told):
    result = loaded({"kafka": told}).settings
    assert [kafka_properties(result, side)["linger.ms"] for side in ("consumer", "producer")] == ["1", "2"]


@pytest.mark.parametrize(
    ("topic", "read"), [("news", True), ("old.raw", False), ("my.news", True), ("raw.1", True), ("chat", False)]
)
def test_a_pattern_finds_what_librdkafka_finds_whose_first_alternative_alone_is_bound_to_the_beginning(topic, read):
    assert reads("^raw|news", topic) is read


@pytest.mark.parametrize("side", ["consumer", "producer"])
def test_a_property_that_is_no_number_is_refused_with_its_name(side):
    name = {"consumer": "fetch.wait.max.ms", "producer": "message.max.bytes"}[side]
    ask = {"consumer": silent_seconds, "producer": max_message_bytes}[side]
    with pytest.raises(SettingsError, match=rf"{name} is '1s'; expected a whole number"):
        ask(loaded({"kafka": [f"{name}=1s"]}).settings)


def test_secrets_are_masked():
    names = ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret", "sasl.jaas.config"]
    assert set(masked(dict.fromkeys(names, "s3cret")).values()) == {"********"}
    assert masked({"sasl.username": "me", "consumer.sasl.password": "s3cret"}) == {
        "sasl.username": "me", "consumer.sasl.password": "********"
    }  # fmt: skip


def test_every_setting_has_help():
    assert all(field.description for _, field in settings.fields())


def test_the_model_is_a_path():
    assert loaded({"model": "/models/raner"}).settings.model == "/models/raner"
