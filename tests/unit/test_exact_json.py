import tracemalloc

import pytest

from schemas.exact import NUMBER, NotJsonError, read_object, write_object


def test_members_keep_the_characters_they_came_in():
    text = '{"a": 1.10, "b" :{"c":[1e400,  2]},"\\u4e2d":"\\ud83d\\ude00", "d":null}'
    members = read_object(text)
    assert write_object(members) == '{"a":1.10,"b":{"c":[1e400,  2]},"\\u4e2d":"\\ud83d\\ude00","d":null}'
    assert (members["a"].value, members["a"].raw_value, members["中"].value) == (NUMBER, "1.10", "😀")


def test_what_is_not_looked_into_is_not_built():
    nested = '{"a":[' + ",".join('{"b":1.5,"c":[2,3]}' for _ in range(20_000)) + "]}"
    tracemalloc.start()
    read_object(nested)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(nested)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a":1,"a":2}', "a key occurs twice"),
        ('{"a":{"b":1,"b":2}}', "a key occurs twice in a nested object"),
        ('{"a":NaN}', "NaN is not JSON"),
        ('{"a":[-Infinity]}', "-Infinity is not JSON"),
        ('["text"]', "expected '{' at character 0"),
        ("", "expected '{'"),
        ('{"a":1} {}', "more follows the object"),
        ('{"a" 1}', "expected ':'"),
        ("{1:1}", "a key at character"),
        ('{"a":1,}', "Expecting value"),
        ('{"a":"\n"}', "Invalid control character"),
        ('{"a":01}', "expected ','"),
        ('{"a":1', "expected ','"),
        ('{"a":' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_what_can_be_read_in_two_ways_or_none_is_refused(text, told):
    with pytest.raises(NotJsonError, match=told):
        read_object(text)
