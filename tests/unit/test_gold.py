import pytest

from nlp.errors import GoldError
from nlp.gold import Gold, read_gold


def written(tmp_path, text):
    path = tmp_path / "gold"
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines_are_read(tmp_path):
    first = '{"text": "王小明在北京", "entities": [{"start": 0, "end": 3, "type": "PER"}]}'
    lines = f'{first}\n\n{{"text": "", "entities": []}}\n'
    assert read_gold(written(tmp_path, lines)) == [
        Gold("王小明在北京", frozenset({(0, 3, "PER")})),
        Gold("", frozenset()),
    ]


def test_entities_may_be_triples(tmp_path):
    line = '{"text": "王小明在北京", "ents": [[0, 3, "PER"], [4, 6, "LOC"]]}\n'
    [gold] = read_gold(written(tmp_path, line))
    assert gold.entities == {(0, 3, "PER"), (4, 6, "LOC")}


@pytest.mark.parametrize("line", ["王 S-PER", '{"text": "王", "ents": [[0, 1, "PER"]]}'])
def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path, line):
    assert read_gold(written(tmp_path, f"\ufeff{line}\n")) == [Gold("王", frozenset({(0, 1, "PER")}))]


@pytest.mark.parametrize("tags", ["B-PER I-PER I-PER O B-LOC I-LOC", "B-PER M-PER E-PER O B-LOC E-LOC"])
@pytest.mark.parametrize("separator", [" ", "\t", " x y "])
def test_conll_columns_are_read(tmp_path, tags, separator):
    lines = "".join(f"{c}{separator}{tag}\n" for c, tag in zip("王小明在北京", tags.split(), strict=True))
    gold = read_gold(written(tmp_path, f"# sent_id = 1\n{lines}\n人{separator}O\n"))
    assert gold == [Gold("王小明在北京", frozenset({(0, 3, "PER"), (4, 6, "LOC")})), Gold("人", frozenset())]


def test_tokens_of_several_characters_and_blanks_keep_their_offsets(tmp_path):
    gold = read_gold(written(tmp_path, "iPhone O\n\u3000 O\n王 B-PER\n# O\n"))
    assert gold == [Gold("iPhone\u3000王#", frozenset({(7, 8, "PER")}))]


@pytest.mark.parametrize("token", ["\u3000", "\xa0", "\u2028", "\u3000\u3000", "中\u3000国"])
@pytest.mark.parametrize("border", [" ", "\t", " \t "])
def test_a_blank_that_is_a_token_is_no_border(tmp_path, token, border):
    lines = "".join(f"{each}{border}NN{border}{tag}\n" for each, tag in ((token, "O"), ("王", "S-PER")))
    end = len(token) + 1
    assert read_gold(written(tmp_path, lines)) == [Gold(f"{token}王", frozenset({(end - 1, end, "PER")}))]


@pytest.mark.parametrize("line", [" O", "\tO", "  O", "\t O "])
def test_a_line_of_a_tag_alone_is_that_of_the_blank_before_it(tmp_path, line):
    assert read_gold(written(tmp_path, f"{line}\n王 S-PER\n")) == [Gold(f"{line[0]}王", frozenset({(1, 2, "PER")}))]


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u3000", " \u3000 "])
def test_a_line_of_blanks_alone_ends_a_sentence(tmp_path, blank):
    assert [gold.text for gold in read_gold(written(tmp_path, f"王 O\n{blank}\n小 O\n"))] == ["王", "小"]


@pytest.mark.parametrize("token", ["{", "[", "[笑]", "[{"])
@pytest.mark.parametrize("border", [" ", "\t", " PU "])
def test_a_conll_file_may_begin_with_a_bracket(tmp_path, token, border):
    gold = read_gold(written(tmp_path, f"{token}{border}O\n王{border}S-PER\n"))
    assert gold == [Gold(f"{token}王", frozenset({(len(token), len(token) + 1, "PER")}))]


@pytest.mark.parametrize("line", ['{ "text": "王", "entities": [] }', ' {"entities": [], "text": "王"}'])
def test_json_may_have_blanks_between(tmp_path, line):
    assert read_gold(written(tmp_path, line)) == [Gold("王", frozenset())]


PUBLISHED = {
    "UNER": ("1\t王\tB-PER\t-\t-\n2\t明\tI-PER\t-\t-\n3\t在\tO\t-\t-\n", "# text = 王明在\n{}\n# text = 王明在\n{}"),
    "Weibo": ("王0\tB-PER\n明1\tI-PER\n在0\tO\n", "{}\n{}"),
    "a column of chunks": ("王 NR B-NP B-PER\n明 NR I-NP I-PER\n在 P O O\n", "{}\n{}"),
    "the tag in the middle": ("王 B-PER NR\n明 I-PER NR\n在 O P\n", "{}\n{}"),
    "tabs in a row": ("王\tNR\t\tB-PER\n明\t\tNR\tI-PER\n在\tP\tO\t\n", "{}\n{}"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_columns_are_read_as_corpora_are_published(tmp_path, name):
    sentence, frame = PUBLISHED[name]
    gold = read_gold(written(tmp_path, frame.format(sentence, sentence)))
    assert gold == [Gold("王明在", frozenset({(0, 2, "PER")}))] * 2


def test_characters_that_are_digits_or_blanks_may_have_their_place(tmp_path):
    lines = "10\tB-PER\n 1\tI-PER\n\u30002\tI-PER\n#10\tO\n1\tO\n"
    assert read_gold(written(tmp_path, lines)) == [Gold("1 \u3000#\u0020", frozenset({(0, 3, "PER")}))]
    assert read_gold(written(tmp_path, "王0 O\n明 O\n"))[0].text == "王0明"


def test_tokens_between_tabs_may_hold_spaces(tmp_path):
    gold = read_gold(written(tmp_path, "New York\tB-LOC\n我 们 \tO\n"))
    assert gold == [Gold("New York我 们", frozenset({(0, 8, "LOC")}))]


@pytest.mark.parametrize("comment", ["# text = 王 O", "# 王\tO x", "#", "#话题 B-PER O"])
@pytest.mark.parametrize("border", [" ", "\t"])
def test_a_line_that_does_not_fit_is_a_comment_where_it_begins_as_one(tmp_path, comment, border):
    assert read_gold(written(tmp_path, f"{comment}\n#{border}O\n王{border}S-PER\n")) == [
        Gold("#王", frozenset({(1, 2, "PER")}))
    ]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("lines", ["王 S-PER\n小 O", '{"text": "王小", "ents": [[0, 1, "PER"]]}\n'])
def test_lines_end_as_they_do_anywhere(tmp_path, lines, end):
    (tmp_path / "gold").write_bytes(lines.replace("\n", end).encode())
    assert read_gold(tmp_path / "gold") == [Gold("王小", frozenset({(0, 1, "PER")}))]


def test_entities_are_read_as_cluener_and_doccano_write_them(tmp_path):
    cluener = '{"text": "王明和王明", "label": {"name": {"王明": [[0, 1], [3, 4]]}}}'
    doccano = '{"id": 7, "text": "王明和王明", "label": [[0, 2, "name"], [3, 5, "name"]], "Comments": []}'
    assert (
        read_gold(written(tmp_path, f"{cluener}\n{doccano}"))
        == [Gold("王明和王明", frozenset({(0, 2, "name"), (3, 5, "name")}))] * 2
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no sentences"),
        ('[{"text": "a", "entities": []}]', ":1: TypeError: list in place of an object; expected JSON lines, "),
        ('[\n{"text": "a", "entities": []}\n]', ":1: JSONDecodeError: .*; expected JSON lines, "),
        ('[ {\n"text": "a", "entities": []}\n]', ":1: JSONDecodeError: .*; expected JSON lines, "),
        ('{\n"text": "a", "entities": []\n}', ":1: JSONDecodeError: .*; expected JSON lines, "),
        ('{ "text": "a",\n"entities": []\n}', ":1: JSONDecodeError: .*; expected JSON lines, "),
        ('{"text": "a", "entities": ' + "[" * 100_000, ":1: RecursionError: .*; expected JSON lines, "),
        ("王\u3000O", ":1: one column alone; expected a token and its tag, with a tab or a space between"),
        ('{"text": "a", "labels": []}', r":1: ValueError: no entities among text, labels; expected"),
        ('{"entities": []}', r":1: ValueError: no text among entities; expected"),
        ('{"text": "a", "entities": [{"start": 0, "end": 1}]}', r":1: KeyError: 'type'; expected"),
        ('{"text": "\\ud800", "entities": []}', ":1: UnicodeEncodeError: .* surrogates not allowed"),
        (
            '{"text": "王明在", "entities": [{"start": 0, "end": 1, "type": "X", "text": "王明"}]}',
            r":1: ValueError: entity \[0, 1\) is not its own text; offsets are code points, the end exclusive",
        ),
        ('{"text": "王明在", "label": {"name": {"王明": [[0, 2]]}}}', r"entity \[0, 3\) is not its own text"),
        ('{"text": "a", "label": {"name": [[0, 2]]}}', ":1: AttributeError"),
        ('{"text": 1, "entities": []}', ":1: TypeError: text is int"),
        ('{"text": "a", "entities": [{"start": 0, "end": 2, "type": "X"}]}', r"\[0, 2\) lies outside a text of 1"),
        ('{"text": "a", "entities": []}\n{', ":2: JSONDecodeError"),
        ("王 B-PER\n小 PER\n", ":2: 'PER' is no tag"),
        ("New York B-LOC\nin O\n", ":2: 2 columns; expected 3, as in the first line; a token that holds spaces needs"),
        ("王 明 在\tB-PER I-PER O\n", ":1: 'B-PER I-PER O' are several tags"),
        ("1\t王\tB-PER\t-\n2\t明\tPER\t-\n", ":1: '-' is no tag"),
        ("O\nB-PER\n", ":1: one column alone; expected a token and its tag"),
        (
            '{"text": "ab", "entities": [{"start": 0, "end": 1, "type": null}]}',
            ":1: TypeError: an entity is 0 to 1, of the type None",
        ),
        (
            '{"text": "ab", "entities": [{"start": 0.0, "end": 1.0, "type": "X"}]}',
            ":1: TypeError: an entity is 0.0 to 1.0",
        ),
    ],
)
def test_bad_gold_is_refused_with_its_line(tmp_path, text, told):
    with pytest.raises(GoldError, match=told):
        read_gold(written(tmp_path, text))


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GoldError, match="cannot be read as UTF-8"):
        read_gold(tmp_path / "binary")


def test_a_file_that_is_not_there_is_no_matter_of_its_text(tmp_path):
    with pytest.raises(GoldError, match="cannot be read: No such file"):
        read_gold(tmp_path / "none")
