import json

from hypothesis import given
from hypothesis import strategies as st

from schemas.exact import read_object, write_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_any_object_comes_back_as_it_was(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    members = read_object(text)
    assert json.loads(write_object(members)) == value
    assert all(member.raw_value in text for member in members.values())
