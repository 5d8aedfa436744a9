import pytest

from nlp.errors import ModelError
from nlp.tokenizer import Tokenizer

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "中",
    "a",
    "e",
    "é",
    "[",
    "s",
    "p",
    "]",
    "A",
    "　",
    "\u200b",
    "豈",
    "·",
    "가",
]


def ids(text: str, **rules: bool) -> list[str]:
    tokenizer = Tokenizer(VOCABULARY, **{"lower_case": True, "strip_accents": True, **rules})
    return [VOCABULARY[i] for i in tokenizer.encode(text)]


def test_every_character_is_one_token():
    assert len(ids("中😀𠮷e\u0301👨‍👩‍👧 \n\t")) == len("中😀𠮷e\u0301👨‍👩‍👧 \n\t")


def test_letters_are_lower_cased_and_lose_their_accents():
    assert ids("AÉ") == ["a", "e"]


def test_letters_are_kept_where_the_model_says_so():
    assert ids("Aé", lower_case=False, strip_accents=False) == ["A", "é"]


@pytest.mark.parametrize(("character", "token"), [("\uf900", "豈"), ("\u0387", "·"), ("가", "가")])
@pytest.mark.parametrize("lower_case", [False, True])
def test_a_character_is_looked_up_as_its_composed_form_where_accents_stay(character, token, lower_case):
    assert ids(character, lower_case=lower_case, strip_accents=False) == [token]


@pytest.mark.parametrize("lower_case", [False, True])
def test_hangul_falls_apart_where_accents_are_stripped(lower_case):
    assert ids("가", lower_case=lower_case) == ["[UNK]"]


BLANKS = ["\u0020", "\n", "\u3000", "\u200b", "\ufeff", "\u0301", "\ufffd", "\x00", "\U0001f600", "\ud800"]


@pytest.mark.parametrize("blank", BLANKS)
def test_blanks_controls_and_the_unknown_are_unk(blank):
    assert ids(blank) == ["[UNK]"]


def test_a_literal_separator_is_five_ordinary_characters():
    assert ids("[SEP]") == ["[", "s", "e", "p", "]"]


def test_the_same_character_has_the_same_id_the_second_time():
    tokenizer = Tokenizer(VOCABULARY, lower_case=True, strip_accents=True)
    assert tokenizer.encode("中Aé中").tolist() == tokenizer.encode("中Aé中").tolist()


def test_a_vocabulary_without_special_tokens_is_refused():
    with pytest.raises(ModelError, match=r"no \[CLS\], \[SEP\]"):
        Tokenizer(["[PAD]", "[UNK]"], lower_case=True, strip_accents=True)
