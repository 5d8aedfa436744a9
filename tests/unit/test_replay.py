import json
from dataclasses import replace

import pytest

from consumer.dlq.letter import Letter, read_filter, wants
from consumer.dlq.replay import Terms, replay
from consumer.errors import KafkaFailed, Reason, SettingsError
from consumer.kafka.mail import Bookmark
from consumer.kafka.resending import Refused
from consumer.letters import Letters, shortened
from consumer.records import Record


def letter(number=0, reason=Reason.NO_TEXT, attempts=0, topic="in", headers=(("h", b"1"),), short=False, **letters):
    tried = (("raner.replay.attempts", str(attempts).encode()),) if attempts else ()
    source = Record(topic, 2, 40 + number, 1_000, b"k", b'{"a": 1}', (*headers, *tried))
    outcome = Letters(**letters).write(source, reason, "decode", "no field")
    outcome = shortened(outcome) if short else outcome
    return Letter(Record("dead", 0, number, 2_000, b"k", outcome.value, outcome.headers))


def test_a_record_that_was_nested_too_deeply_is_sent_again_like_others():
    record = replace(letter(reason=Reason.NOT_JSON).record, value=b"[" * 100_000)
    assert Terms("in", {}, 3).obstacle(Letter(record)) == ""


class Sent:
    """Takes what it does not refuse, and keeps what is committed as the dead-letter topic's group does."""

    def __init__(self, refuses=(), forbids=()):
        self.sent, self.commits, self._refused = [], [], []
        self.refuses, self.forbids, self.note = refuses, forbids, (0, "")

    def send(self, record, topic, partition, headers, timestamp):
        self.sent.append((record.offset, record.value, topic, partition, headers, timestamp))
        if record.offset in self.refuses:
            self._refused.append(Refused(record.partition, record.offset, topic, "too large; raise it", True))
        if record.offset in self.forbids:
            self._refused.append(Refused(record.partition, record.offset, topic, "no right; grant it", False))

    def settle(self):
        refused, self._refused = self._refused, []
        return refused

    def commit(self, offsets, refused):
        self.commits.append(dict(offsets))
        for number, offset in offsets.items():
            lie = [lies for of, lies in refused if of == number]
            self.note = self._begun.moved(offset, lie).written()

    def next(self, letters):
        """Replay what is still to be sent; return the offsets that were, and what was said at the end."""
        self.sent, self._begun, said = [], Bookmark.read(*self.note), ""
        lacking = [each for each in letters if self._begun.lacks(each.record.offset)]
        try:
            replay(lacking, Terms("in", {}, 3), self, self.commit)
        except KafkaFailed as error:
            said = str(error)
        return [offset for offset, *_ in self.sent], said


def replayed(letters, **terms):
    sender, slept = Sent(), []
    sender._begun = Bookmark(0)
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


def test_what_is_passed_over_behind_the_last_that_was_sent_is_found_again_under_other_terms():
    letters = [letter(0), letter(1, topic="elsewhere"), letter(2, attempts=3)]
    _, sender, _ = replayed(letters)
    assert sender.commits == [{0: 1}]
    _, sender, _ = replayed(letters[1:])
    assert sender.commits == [{}]


def test_a_dry_run_sends_and_commits_nothing():
    count, sender, _ = replayed([letter()], dry_run=True)
    assert (count.replayed, sender.sent, sender.commits) == (1, [], [])


def test_a_rate_is_kept_and_progress_committed_every_hundred_records():
    _, sender, slept = replayed([letter(i) for i in range(250)], rate=50)
    assert slept == [0.02] * 250
    assert sender.commits == [{0: 100}, {0: 200}, {0: 250}]


def test_a_record_refused_for_itself_holds_up_none_and_is_sent_again_by_every_replay_until_it_is_taken():
    letters, sender = [letter(i) for i in range(250)], Sent(refuses={7, 120})
    went, said = sender.next(letters)
    assert went == list(range(250))
    assert said == (
        "248 replayed, 2 refused by the broker. 2 to in, first that of 0:7: too large; raise it. "
        "The next replay with the same filter sends what was refused again"
    )
    letters.append(letter(250))
    assert sender.next(letters)[0] == [7, 120, 250]
    sender.refuses = {120}
    assert sender.next(letters)[0] == [7, 120]
    sender.refuses = ()
    assert sender.next(letters) == ([120], "")
    assert sender.note == (251, "")
    assert sender.next(letters) == ([], "")


def test_a_topic_that_takes_none_ends_the_replay_and_the_next_goes_on_from_there():
    letters, sender = [letter(i, attempts=3 * (i == 160)) for i in range(500)], Sent(forbids=range(150, 500))
    went, said = sender.next(letters)
    assert went == [i for i in range(201) if i != 160]
    assert said == (
        "150 replayed, 50 refused by the broker, 1 passed over (exhausted). 50 to in, first that of 0:150: no right; "
        "grant it. It stopped there: any letters behind were not tried. "
        "The next replay with the same filter sends what was refused again"
    )
    sender.forbids = ()
    assert sender.next(letters)[0] == [i for i in range(150, 500) if i != 160]


def test_a_replay_that_ends_early_forgets_none_that_an_earlier_one_was_refused():
    letters, sender = [letter(i) for i in range(300)], Sent(refuses={*range(0, 240, 2)})
    sender.next(letters)
    sender.refuses, sender.forbids = (), {198}
    assert sender.next(letters)[0] == list(range(0, 200, 2))
    sender.forbids = ()
    assert sender.next(letters)[0] == list(range(198, 240, 2))


def test_where_very_many_are_refused_for_themselves_it_stops_before_its_note_is_full():
    letters, sender = [letter(i * 10**7) for i in range(900)], Sent(refuses=range(0, 10**10, 10**7))
    went, said = sender.next(letters)
    assert len(went) == 300
    assert "It stopped there" in said
    assert len(sender.note[1]) < 4096
    assert sender.next(letters)[0] == went


@pytest.mark.parametrize("bookmark", [Bookmark(0), Bookmark(40), Bookmark(40, frozenset({0, 7, 39}))])
def test_a_bookmark_is_read_as_it_was_written(bookmark):
    assert Bookmark.read(*bookmark.written()) == bookmark


def test_where_nothing_was_committed_everything_is_lacking():
    assert Bookmark.read(-1001, "").lacks(0)


def test_a_filter_matches_names_and_patterns():
    wanted = read_filter(["reason=no_*", "key=k", "attempts=0"])
    assert wants(wanted, letter())
    assert not wants(wanted, letter(attempts=1))
    assert not wants(read_filter(["topic=other"]), letter())


@pytest.mark.parametrize("pair", ["reason", "colour=red"])
def test_a_filter_that_is_none_is_refused(pair):
    with pytest.raises(SettingsError, match="expected NAME=PATTERN, with NAME one of reason"):
        read_filter([pair])


def test_a_name_has_one_pattern():
    with pytest.raises(SettingsError, match=r"'key=\*b': key=a\* is given already; expected each name once"):
        read_filter(["key=a*", "reason=*", "key=*b"])


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
