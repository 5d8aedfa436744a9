import json

import pytest

from consumer.dlq.letter import Letter, read_filter, wants
from consumer.dlq.replay import Terms, replay
from consumer.errors import Reason, SettingsError
from consumer.letters import Letters, shortened
from consumer.records import Record


def letter(number=0, reason=Reason.NO_TEXT, attempts=0, topic="in", headers=(("h", b"1"),), short=False, **letters):
    tried = (("raner.replay.attempts", str(attempts).encode()),) if attempts else ()
    source = Record(topic, 2, 40 + number, 1_000, b"k", b'{"a": 1}', (*headers, *tried))
    outcome = Letters(**letters).write(source, reason, "decode", "no field")
    outcome = shortened(outcome) if short else outcome
    return Letter(Record("dead", 0, number, 2_000, b"k", outcome.value, outcome.headers))


class Sent:
    def __init__(self, refuses=()):
        self.sent, self.commits, self._refuses, self._refused = [], [], refuses, 0

    def send(self, record, topic, partition, headers, timestamp):
        self.sent.append((record.offset, record.value, topic, partition, headers, timestamp))
        self._refused += record.offset in self._refuses

    def settle(self):
        refused, self._refused = self._refused, 0
        return refused

    def commit(self, offsets):
        self.commits.append(dict(offsets))


def replayed(letters, **terms):
    sender, slept = Sent(terms.pop("refuses", ())), []
    told = Terms("in", **({"wanted": {}, "max_attempts": 3} | terms))
    return replay(letters, told, sender, sender.commit, sleep=slept.append), sender, slept


@pytest.mark.parametrize("dialects", [(), ("connect", "spring")])
def test_a_record_is_sent_as_it_was_with_the_count_of_attempts(dialects):
    count, sender, _ = replayed([letter(dialects=dialects, group="g")])
    headers = (("h", b"1"), ("raner.replay.attempts", b"1"))
    assert sender.sent == [(0, b'{"a": 1}', "in", 2, headers, 1_000)]
    assert (count.replayed, sender.commits) == (1, [{0: 1}])


def test_attempts_are_counted_and_come_to_an_end():
    count, sender, _ = replayed([letter(0, attempts=2), letter(1, attempts=3)])
    assert [dict(headers)["raner.replay.attempts"] for *_, headers, _ in sender.sent] == [b"3"]
    assert (count.replayed, count.passed_over) == (1, {"exhausted": 1})


def test_what_cannot_or_need_not_be_sent_again_is_passed_over_and_counted():
    stray = Letter(Record("dead", 0, 2, None, None, b"x", ()))
    letters = [letter(0, short=True), letter(1, topic="elsewhere"), stray, letter(3, Reason.NOT_JSON), letter(4)]
    count, sender, _ = replayed(letters, wanted={"reason": "no_*"})
    assert [offset for offset, *_ in sender.sent] == [4]
    assert count.passed_over == {"value_omitted": 1, "other_topic": 1, "not_ours": 1, "filtered": 1}


def test_a_dry_run_sends_and_commits_nothing():
    count, sender, _ = replayed([letter()], dry_run=True)
    assert (count.replayed, sender.sent, sender.commits) == (1, [], [])


def test_a_rate_is_kept_and_progress_committed_every_hundred_records():
    _, sender, slept = replayed([letter(i) for i in range(250)], rate=50)
    assert slept == [0.02] * 250
    assert sender.commits == [{0: 100}, {0: 200}, {0: 250}]


def test_what_the_broker_refuses_is_told_apart():
    count, _, _ = replayed([letter(0), letter(1)], refuses={1})
    assert (count.replayed, count.refused) == (1, 1)


def test_a_filter_matches_names_and_patterns():
    wanted = read_filter(["reason=no_*", "key=k", "attempts=0"])
    assert wants(wanted, letter())
    assert not wants(wanted, letter(attempts=1))
    assert not wants(read_filter(["topic=other"]), letter())


@pytest.mark.parametrize("pair", ["reason", "colour=red"])
def test_a_filter_that_is_none_is_refused(pair):
    with pytest.raises(SettingsError, match="expected NAME=PATTERN, with NAME one of reason"):
        read_filter([pair])


def test_a_records_own_header_of_our_name_is_not_taken_for_ours():
    assert letter(headers=(("raner.reason", b"mine"),)).told["reason"] == "no_text"


def test_other_tools_find_their_headers():
    source = Record("in", 3, 7, 1_000, b"k", b"v", ())
    outcome = Letters(("connect", "spring"), "workers").write(source, Reason.NOT_JSON, "decode", "no JSON")
    headers = dict(outcome.headers)
    assert headers["__connect.errors.topic"] == b"in"
    assert headers["__connect.errors.offset"] == b"7"
    assert headers["__connect.errors.stage"] == b"VALUE_CONVERTER"
    assert headers["__connect.errors.exception.message"] == b"no JSON"
    assert headers["kafka_dlt-original-topic"] == b"in"
    assert headers["kafka_dlt-original-partition"] == bytes([0, 0, 0, 3])
    assert headers["kafka_dlt-original-offset"] == bytes([0] * 7 + [7])
    assert int.from_bytes(headers["kafka_dlt-original-timestamp"], "big") == 1_000
    assert headers["kafka_dlt-original-consumer-group"] == b"workers"
    assert headers["raner.reason"] == b"not_json"


def test_a_value_that_was_left_out_is_known_and_one_that_only_looks_alike_is_not():
    assert letter(short=True).omitted
    assert json.loads(letter(short=True).record.value)["length"] == 8
    assert not letter().omitted
