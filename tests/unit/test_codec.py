import hashlib
import json

import pytest

from consumer import codec
from consumer.codec import Format, Message, Rejected
from consumer.errors import Reason
from consumer.letters import Letters, shortened
from consumer.records import Record
from nlp.types import Span
from schemas.messages import Model, Processing, record_id

JSON = Format(("text",), 1000)
MODEL = Model(name="m", revision="r", digest="d")
PROCESSING = Processing(windows=1, milliseconds=2.5, worker_version="0")


def record(value: bytes | str | None, **changes) -> Record:
    value = value.encode() if isinstance(value, str) else value
    fields = {"topic": "in", "partition": 1, "offset": 7, "timestamp": 1000, "key": b"k", "headers": (("h", b"1"),)}
    return Record(value=value, **{**fields, **changes})


def decoded(value: bytes | str, format: Format = JSON) -> Message:
    message = codec.decode(record(value), format)
    assert isinstance(message, Message), message
    return message


def encoded(message: Message, *spans: list[Span], by_field: bool = False) -> dict:
    return json.loads(codec.encode(message, spans, MODEL, PROCESSING, by_field=by_field).value)


def test_a_message_comes_out_with_its_entities():
    message = decoded('{"id": "a1", "text": "王小明在北京", "lang": "zh"}')
    out = encoded(message, [Span(0, 3, "PER", 0.5), Span(4, 6, "LOC", 1 / 3)])
    assert out == {
        "schema_version": "1.0",
        "record_id": record_id("in", 1, 7, 1000),
        "id": "a1",
        "source": {"topic": "in", "partition": 1, "offset": 7, "timestamp": 1000},
        "text": "王小明在北京",
        "entities": [
            {"id": "0-3", "start": 0, "end": 3, "type": "PER", "text": "王小明", "score": 0.5},
            {"id": "4-6", "start": 4, "end": 6, "type": "LOC", "text": "北京", "score": 0.333333},
        ],
        "offset_unit": "code_point",
        "model": {"name": "m", "revision": "r", "digest": "d"},
        "processing": {"windows": 1, "milliseconds": 2.5, "worker_version": "0"},
        "attributes": {"lang": "zh"},
    }


def test_key_headers_and_timestamp_are_those_of_the_record():
    outcome = codec.encode(decoded('{"text": ""}'), [[]], MODEL, PROCESSING, by_field=False)
    assert (outcome.record.key, outcome.headers, outcome.record.timestamp) == (b"k", (("h", b"1"),), 1000)


def test_offsets_count_code_points():
    out = encoded(decoded('{"text": "😀𠮷王小明"}'), [Span(2, 5, "PER", 1.0)])
    assert out["entities"][0]["text"] == "王小明" == out["text"][2:5]


def test_several_fields_come_out_by_field():
    message = decoded('{"title": "北京", "body": "上海", "n": 1}', Format(("title", "body", "note"), 1000))
    out = encoded(message, [Span(0, 2, "LOC", 1.0)], [Span(0, 2, "LOC", 1.0)], by_field=True)
    assert out["text"] == {"title": "北京", "body": "上海"}
    assert [(e["id"], e["field"]) for e in out["entities"]] == [("title:0-2", "title"), ("body:0-2", "body")]
    assert out["attributes"] == {"n": 1}


def test_a_field_within_an_object_is_reached_and_taken_out():
    message = decoded('{"data": {"text": "北京", "x": 1.0}, "y": 2}', Format(("data.text",), 1000))
    assert message.texts == {"data.text": "北京"}
    assert message.attributes == '{"data":{"x":1.0},"y":2}'


def test_a_key_with_a_dot_comes_before_a_path():
    assert decoded('{"a.b": "x", "a": {"b": "y"}}', Format(("a.b",), 1000)).texts == {"a.b": "x"}


def test_plain_text_is_taken_as_it_is():
    message = decoded("\ufeff{王小明}\n", Format((), 1000))
    assert (message.texts, message.attributes) == ({"text": "\ufeff{王小明}\n"}, "{}")


@pytest.mark.parametrize(
    "attribute",
    ["1.10", "1e400", "-0", "123456789012345678901234567890", '"\\ud800"', "0.1000000000000000055", '{"b":  [1 , 2]}'],
)
def test_attributes_are_never_changed(attribute):
    message = decoded(f'{{"text": "", "x": {attribute}}}')
    out = codec.encode(message, [[]], MODEL, PROCESSING, by_field=False).value
    assert f'"attributes":{{"x":{attribute}}}'.encode() in out


@pytest.mark.parametrize(("written", "expected"), [('"a"', "a"), ("42", 42), ("-7", -7), ("0", 0), ('""', "")])
def test_the_messages_own_id_is_kept(written, expected):
    message = decoded(f'{{"id": {written}, "text": ""}}')
    assert (encoded(message, [])["id"], message.attributes) == (expected, "{}")


@pytest.mark.parametrize("written", ["1.5", "-0", "null", "[1]", "1e3", "12345678901234567890123", '"\\ud800"', "true"])
def test_what_cannot_be_an_id_stays_an_attribute(written):
    message = decoded(f'{{"id": {written}, "text": ""}}')
    assert encoded(message, [])["id"] == record_id("in", 1, 7, 1000)
    assert message.attributes == f'{{"id":{written}}}'


@pytest.mark.parametrize(
    ("value", "reason", "told"),
    [
        (b"\xff{}", Reason.NOT_UTF8, "byte 0 of 3"),
        ("[]", Reason.NOT_JSON, "expected a JSON object"),
        ('{"text": "a", "text": "b"}', Reason.NOT_JSON, "twice"),
        ('{"text": "a", "x": NaN}', Reason.NOT_JSON, "NaN"),
        ("{}", Reason.NO_TEXT, "no field 'text' with a string"),
        ('{"text": null}', Reason.NO_TEXT, "no field 'text' with a string"),
        ('{"text": 42}', Reason.NOT_TEXT, "holds a number; expected a string"),
        ('{"text": {"a": 1}}', Reason.NOT_TEXT, "holds an object"),
        ('{"text": [1]}', Reason.NOT_TEXT, "holds an array"),
        ('{"text": true}', Reason.NOT_TEXT, "holds a truth value"),
        ('{"text": "\\ud800"}', Reason.NOT_TEXT, "half of a surrogate pair"),
        ('{"text": "' + "长" * 1001 + '"}', Reason.TOO_LONG, r"1,001 characters; the limit is 1,000 (RANER_MAX_CHARS)"),
    ],
)
def test_what_cannot_be_worked_on_is_rejected_with_its_reason(value, reason, told):
    rejected = codec.decode(record(value), JSON)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is reason
    assert told in rejected.error


def test_an_error_quotes_nothing_of_the_text():
    for value in ('{"text": "秘密" 密', '{"秘密": 1, "秘密": 2}', '{"text": ["秘密"]}'):
        rejected = codec.decode(record(value), JSON)
        assert "密" not in rejected.error


def test_a_dead_letter_keeps_the_record_and_tells_what_happened():
    letter = Letters().write(record(b"\xff"), Reason.NOT_UTF8, "decode", "byte 0")
    assert (letter.value, letter.record.key) == (b"\xff", b"k")
    assert letter.headers == (
        ("h", b"1"),
        ("raner.reason", b"not_utf8"),
        ("raner.stage", b"decode"),
        ("raner.error", b"byte 0"),
        ("raner.source.topic", b"in"),
        ("raner.source.partition", b"1"),
        ("raner.source.offset", b"7"),
        ("raner.source.timestamp", b"1000"),
    )


def test_a_shortened_dead_letter_says_what_it_left_out():
    value = b"x" * 5000
    letter = Letters().write(record(value), Reason.TOO_LONG, "decode", "too long")
    short = shortened(letter)
    assert json.loads(short.value) == {
        "value_omitted": True, "length": 5000, "sha256": hashlib.sha256(value).hexdigest()
    }  # fmt: skip
    assert (short.shortened, short.headers) == (True, letter.headers[1:])


def test_a_dead_letter_that_is_shortened_twice_says_what_its_key_was():
    letter = Letters().write(record(b"x", key=b"k" * 9_000), Reason.TOO_LONG, "decode", "too long")
    assert not shortened(letter).keyless
    short = shortened(shortened(letter))
    told = json.loads(short.value)
    assert (told["value_omitted"], told["length"], told["key_omitted"], told["key_length"]) == (True, 1, True, 9_000)
    assert told["key_sha256"] == hashlib.sha256(b"k" * 9_000).hexdigest()
    assert (short.keyless, short.headers) == (True, letter.headers[1:])


def test_a_header_takes_memory_whatever_is_in_it():
    assert record(b"x", headers=(("", None),) * 100).size >= 6_400


def test_a_tombstone_passes_through_as_one():
    outcome = codec.tombstone(record(None))
    assert (outcome.value, outcome.headers, outcome.reason) == (None, (("h", b"1"),), None)


def test_a_record_has_one_name_and_no_other_record_has_it():
    names = {
        record_id(*place) for place in [("a", 1, 2, 3), ("a", 12, 3, None), ("a1", 2, 3, None), ("a", 1, 23, None)]
    }
    assert len(names) == 4
    assert record_id("a", 1, 2, 3) in names
