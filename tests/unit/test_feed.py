import json
from collections import Counter

from consumer.codec import Format, Message, decode
from consumer.demo.feed import MAX_CHARS, messages
from consumer.records import Record


def decoded():
    for number, message in enumerate(messages()):
        record = Record("in", 0, number, None, message.key, message.value, ())
        yield decode(record, Format(("text",), MAX_CHARS))


def test_the_feed_has_every_kind_of_message():
    good = [item for item in decoded() if isinstance(item, Message)]
    channels = Counter(json.loads(item.attributes)["channel"] for item in good)
    assert len(good) >= 300
    assert set(channels) == {"news", "finance", "sport", "chat", "traditional", "mixed", "edge", "article"}
    (article,) = [item for item in good if '"article"' in item.attributes]
    assert article.chars > 5_000


def test_a_handful_of_it_is_broken_each_for_its_own_reason():
    reasons = Counter(str(item.reason) for item in decoded() if not isinstance(item, Message))
    assert reasons == {"not_utf8": 1, "not_json": 4, "no_text": 1, "not_text": 1, "too_long": 1}


def test_the_feed_can_be_cut_or_repeated():
    whole = len(list(messages()))
    assert len(list(messages(10))) == 10
    assert [m.value for m in messages(whole + 1)][-1] == next(messages()).value
