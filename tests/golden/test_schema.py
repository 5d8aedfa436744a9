import json
from pathlib import Path

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import AnnotatedMessage, Entity, Model, Processing, Source, json_schema

PUBLISHED = Path(__file__).parents[2] / "schemas" / "annotated-message-1.0.schema.json"


def test_the_published_schema_is_that_of_the_models():
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == json_schema(), (
        "run `raner-stream schema > schemas/annotated-message-1.0.schema.json`, and think of those who read version 1.0"
    )


def test_every_default_in_the_schema_is_one_that_it_allows():
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    defaults = [member for part in parts for member in part["properties"].values() if "default" in member]
    assert defaults
    for member in defaults:
        jsonschema.validate(member["default"], {**member, "$defs": schema["$defs"]})


@given(
    text=st.text() | st.dictionaries(st.text(), st.text(), max_size=3),
    field=st.none() | st.text(),
    timestamp=st.none() | st.integers(0, 2**50),
    identity=st.text() | st.integers(-(2**60), 2**60),
    score=st.floats(0, 1),
)
def test_every_message_that_can_be_written_obeys_the_schema(text, field, timestamp, identity, score):
    message = AnnotatedMessage(
        record_id="0",
        id=identity,
        source=Source(topic="t", partition=0, offset=1, timestamp=timestamp),
        text=text,
        entities=(Entity(id="0-1", start=0, end=1, type="PER", text="王", score=score, field=field),),
        model=Model(name="m", revision="r", digest="d"),
        processing=Processing(windows=1, milliseconds=1.0, worker_version="0"),
        attributes='{"a":1}',
    )
    written = json.loads(message.to_json())
    jsonschema.validate(written, json_schema())
    assert (written["id"], written["text"], written["attributes"]) == (identity, text, {"a": 1})
    assert ("field" in written["entities"][0]) is (field is not None)
