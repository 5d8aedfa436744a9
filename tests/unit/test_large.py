import hashlib
import itertools
import json

import jsonschema
import pytest
from twins import Bench, record

from consumer.inmemory import InMemoryDelivery
from consumer.large import Large, shrunk
from consumer.records import Outcome, Record
from schemas.messages import AnnotatedMessage, Entity, Model, OmittedText, Processing, Source, json_schema

NUMBER = "12345678901234567890.10"  # that no float holds


def message(entities=40, text="王小明在北京。" * 500, attributes='{"n": ' + NUMBER + "}"):
    found = tuple(
        Entity(id=f"{i}-{i + 1}", start=i, end=i + 1, type="PER", text="王", score=0.5) for i in range(entities)
    )
    source = Source(topic="in", partition=0, offset=7, timestamp=None)
    rest = {
        "model": Model(name="m", revision="r", digest="d"),
        "processing": Processing(windows=1, milliseconds=1.0, worker_version="0"),
    }
    made = AnnotatedMessage(
        record_id="a", id="b", source=source, text=text, entities=found, attributes=attributes, **rest
    )
    return made.to_json()


def test_the_text_is_left_out_first_with_its_length_and_digest():
    (value,) = shrunk([message()], 6_000, split=True)
    body = json.loads(value)
    text = "王小明在北京。" * 500
    assert body["text"] is None
    assert body["text_omitted"] == {"length": 3_500, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    assert len(body["entities"]) == 40
    assert NUMBER in value.decode()
    jsonschema.validate(body, json_schema())


@pytest.mark.parametrize("room", [1_200, 1_500, 2_500, 3_000])
def test_then_the_entities_are_split_and_none_is_lost_or_doubled(room):
    values = shrunk([message()], room, split=True)
    bodies = [json.loads(value) for value in values]
    assert len(values) > 1
    assert max(map(len, values)) <= room
    assert [entity["start"] for body in bodies for entity in body["entities"]] == list(range(40))
    assert [(body["part"], body["parts"]) for body in bodies] == [(i + 1, len(values)) for i in range(len(values))]
    assert {body["record_id"] for body in bodies} == {"a"}
    assert [body["attributes"] != {} for body in bodies] == [True, *[False] * (len(values) - 1)]
    for body in bodies:
        jsonschema.validate(body, json_schema())


def test_parts_can_be_split_further():
    once = shrunk([message()], 2_500, split=True)
    twice = shrunk(once, 1_300, split=True)
    assert [e for value in twice for e in json.loads(value)["entities"]] == json.loads(message())["entities"]
    assert len(twice) > len(once)


def test_what_cannot_be_small_enough_has_no_form():
    assert shrunk([message()], 1_200, split=False) == ()
    assert shrunk([message()], 300, split=True) == ()
    assert shrunk([message(attributes='{"a": "' + "x" * 5_000 + '"}')], 4_000, split=True) == ()


def test_attributes_that_are_nested_too_deeply_to_be_read_again_have_no_form_either():
    value = message(attributes='{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")
    assert shrunk([value], 4_000, split=True) == ()
    assert Large("split", 4_000).smaller(Outcome(record(0, "x"), value, ())) is None


def test_of_texts_by_field_each_has_its_digest():
    (value,) = shrunk([message(text={"title": "王", "body": "小明" * 900})], 6_000, split=False)
    told = json.loads(value)["text_omitted"]
    assert {field: OmittedText(**each).length for field, each in told.items()} == {"title": 1, "body": 1_800}


def test_a_message_that_fits_stays_as_it_is_and_room_is_left_for_key_and_headers():
    outcome = Outcome(Record("in", 0, 7, None, b"k" * 100, b"v", ()), message(), (("h", b"x" * 100),))
    assert Large("split", 20_000).fitted(outcome) is outcome
    fitted = Large("split", 6_000).fitted(outcome)
    assert max(map(len, fitted.values)) <= 6_000 - 200
    assert Large("dead-letter", 6_000).fitted(outcome) is outcome


def test_smaller_and_smaller_forms_come_to_an_end():
    outcome = Outcome(Record("in", 0, 7, None, None, b"v", ()), message(), ())
    forms = []
    large = Large("split", 100_000)
    while outcome := large.smaller(outcome):
        forms.append([len(value) for value in outcome.values])
    assert len(forms[0]) == 1
    assert len(forms[-1]) > len(forms[1]) > 1
    assert all(max(later) < max(former) for former, later in itertools.pairwise(forms))


NAMES = "王小明" * 60


@pytest.mark.parametrize(
    ("policy", "most", "reasons", "parts"),
    [
        ("split", 4_000, ["", ""], True),
        ("omit-text", 12_000, ["", ""], False),
        ("omit-text", 4_000, ["output_too_large", ""], False),
        ("dead-letter", 12_000, ["output_too_large", ""], False),
    ],
)
def test_the_setting_decides_what_becomes_of_a_large_message(policy, most, reasons, parts):
    text = NAMES + "。" * 4_000
    delivery = InMemoryDelivery(max_bytes=most)
    bench = Bench(
        [record(0, text), record(1, "after")], delivery=delivery, long_chars=10_000, large_output=policy,
        max_output_bytes=most,
    )  # fmt: skip
    if policy == "dead-letter":
        delivery._max_bytes = 15_000  # the dead letter itself has room
    bench.run()
    assert [reason for *_, reason in sorted(bench.published())] == reasons
    assert any(outcome.parts for outcome in bench.delivery.published) is parts
    assert bench.delivery.committed == {("in", 0): 2}


def test_a_limit_that_only_the_broker_knows_is_found_out():
    bench = Bench(
        [record(0, NAMES), record(1, "after")], delivery=InMemoryDelivery(max_bytes=1_500), long_chars=10_000,
        large_output="split",
    )  # fmt: skip
    bench.run()
    after, first = bench.delivery.published  # what is refused comes behind its neighbours
    assert len(first.parts) > 1
    assert sum(len(json.loads(value)["entities"]) for value in first.values) == 60
    assert (after.record.offset, bench.delivery.committed) == (1, {("in", 0): 2})
