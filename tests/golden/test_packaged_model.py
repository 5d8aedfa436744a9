"""What the packaged models find in a few sentences; `raner-stream annotate --format text` prints the same."""

import re
from pathlib import Path

import pytest

import nlp
from nlp import model
from nlp.gold import read_gold

SENTENCES = {
    "馬英九在臺北會見了賴清德。": "[馬英九 PER]在[臺北 LOC]會見了[賴清德 PER]。",
    "马英九在台北会见了赖清德。": "[马英九 PER]在[台北 LOC]会见了[赖清德 PER]。",
    "中国足球协会副主席李明昨天抵达上海。": "[中国足球协会 ORG]副主席[李明 PER]昨天抵达[上海 LOC]。",
    "阿里巴巴集团宣布与浙江大学合作，地点在杭州。": "[阿里巴巴集团 ORG]宣布与[浙江大学 ORG]合作，地点在[杭州 LOC]。",
    "他把[SEP]写在纸上，然后去了广州和深圳。": "他把[SEP]写在纸上，然后去了[广州 LOC]和[深圳 LOC]。",
    "　　新华社记者张伟　李娜": "　　[新华社 ORG]记者[张伟 PER]　[李娜 PER]",
    "今天天气真好，出去走走吧！😀": "今天天气真好，出去走走吧！😀",
    "联合国秘书长古特雷斯在日内瓦发表讲话。": "[联合国 ORG]秘书长[古特雷斯 PER]在[日内瓦 LOC]发表讲话。",
}


def marked(text, spans):
    for span in reversed(spans):
        text = f"{text[: span.start]}[{text[span.start : span.end]} {span.label}]{text[span.end :]}"
    return text


@pytest.fixture(scope="module")
def annotator():
    return nlp.load()


@pytest.fixture(scope="module", params=model.PACKAGED)
def packaged(request):
    return nlp.load(request.param)


@pytest.mark.parametrize(("text", "expected"), SENTENCES.items())
def test_a_sentence_is_read_as_before(packaged, text, expected):
    assert marked(text, packaged.annotate([text])[0]) == expected


@pytest.mark.parametrize(
    "sport", ["全国老龄委宣传中心正式将门球改列为第二十六号", "国家体育总局水上中心正式将桨板改列为第九十五号"]
)
def test_what_lies_beyond_a_spans_neighbourhood_hardly_moves_its_score(packaged, sport, monkeypatch):
    text = f"{sport}体育项目，" * 3
    [spans] = packaged.annotate([text])
    monkeypatch.setattr("nlp.decoder.NEIGHBOURHOOD", len(text))
    [exact] = packaged.annotate([text])
    assert [span.score for span in spans] == pytest.approx([span.score for span in exact], abs=1e-4)


def test_a_clear_case_scores_higher_than_an_unclear_one(annotator):
    clear, unclear = annotator.annotate(["李明昨天抵达上海。", "小红书很红。"])
    assert min(span.score for span in clear) > 0.95 > max((span.score for span in unclear), default=0)


@pytest.mark.parametrize(
    ("file", "name", "least"),  # the cards say how many are right
    [
        ("today", "default", 32),
        ("today", "tiny", 26),
        ("news", "default", 84),
        ("news", "tiny", 72),
        ("chat", "default", 89),
        ("chat", "tiny", 79),
    ],
)
def test_many_sentences_of_today_are_read_without_a_mistake(file, name, least):
    gold = read_gold(Path(__file__).parent / f"{file}.jsonl")
    found = nlp.load(name).annotate([document.text for document in gold])
    right = [
        {(span.start, span.end, span.label) for span in spans} == set(document.entities)
        for document, spans in zip(gold, found, strict=True)
    ]
    assert sum(right) >= least


def mistakes():
    """The rows of the card's table: a kind of mistake, what is found, what there is."""
    card = (model.DEFAULT / "README.md").read_text(encoding="utf-8")
    table = card.partition("<!-- mistakes -->")[2].partition("<!-- end -->")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]


def test_the_card_shows_twenty_kinds_of_mistakes():
    assert len({kind for kind, _, _ in mistakes()}) >= 20


@pytest.mark.parametrize(("kind", "found", "there"), mistakes())
def test_a_mistake_of_the_card_is_still_made(annotator, kind, found, there):
    text = re.sub(r"\[(.+?) (?:PER|LOC|ORG)\]", r"\1", there)
    assert marked(text, annotator.annotate([text])[0]) == found, f"it has learnt about {kind}: take the row out"
    assert found != there
