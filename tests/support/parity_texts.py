"""Texts to hold two readers against each other with: sentences of the corpora, and made-up ones of all that is odd."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).parents[3] / "shared"
LONGEST = 510  # characters that ModelScope's pipeline takes

_SENTENCES = (  # corpus, how many of its sentences, and the most characters of one
    ("msra/dev.jsonl", 900, 40),
    ("msra/dev.jsonl", 12, LONGEST),
    ("weibo/dev.jsonl", 150, 40),
    ("resume/dev.jsonl", 250, 40),
    ("cluener/train.jsonl", 250, 40),
    ("uner_gsd_simp/dev.jsonl", 150, 40),
    ("uner_gsd_trad/dev.jsonl", 350, 40),
    ("raw_kdconv_chat/text.txt", 200, 40),
    ("raw_thucnews_titles/text.txt", 200, 40),
)
_NAMES = (
    "王小明",
    "李红",
    "陈志远",
    "欧阳晓岚",
    "Ａｎｎａ",
    "王小明和李红",
    "陳誌遠",
    "歐陽曉嵐",
    "張麗華",
    "John Smith",
)
_PLACES = (
    "北京",
    "上海",
    "天津市河西区",
    "臺北",
    "廣東",
    "紐約",
    "北京大学",
    "中国人民银行",
    "臺灣大學",
    "ＩＢＭ公司",
    "联合国",
)
_FILLERS = (
    "昨天在",
    "去了",
    "，",
    "。",
    "对记者说：",
    "和",
    "來到",
    "會見了",
    "看望",
    "《新闻》",
    "2024年5月",
    "100元",
    "说",
)
_POOLS = {
    "emoji": ("😀", "👍🏽", "👨‍👩‍👧‍👦", "🇨🇳", "❤️", "🀄", "☺", "1️⃣", "𠮷", "🏴‍☠️"),
    "scripts": (
        "Привет",
        "日本語のテキスト",
        "ァｱｶﾞ",
        "한국어",
        "العربية",
        "हिन्दी",
        "ไทย",
        "Ünïcödé",
        "İıß",
        "Ωμέγα",
        "ﬁ½①",
    ),
    "blanks": (" ", "\t", "\n", "\r\n", "\u3000", "\xa0", "\u2003", "\u2028", "   "),
    "controls": (
        "\x00",
        "\x07",
        "\x1b",
        "\x7f",
        "\x85",
        "\u200b",
        "\u200d",
        "\u202e",
        "\ufeff",
        "\ufffd",
        "\ue000",
        "\ufff9",
    ),
    "full-width": ("ＡＢＣ", "ｘｙｚ", "１２３", "！？；：", "（）", "［］", "～", "％", "＠", "￥"),
    "traditional": ("國務院", "總統", "臺灣", "電腦", "會議", "證券", "與", "說", "後來", "裡面", "髮", "龍"),
    "marks": ("[CLS]", "[PAD]", "[UNK]", "[MASK]", "##的", "[", "]", "SEP", "[sep]", "·", "—", "…", "“”", "‘’"),
}
_GENERATED = 900


def sentences() -> list[str]:
    """Return sentences of every corpus, spread evenly over it; skip the test where the corpora are missing."""
    found = []
    for name, number, longest in _SENTENCES:
        path = SHARED / "data" / name
        if not path.is_file():
            pytest.skip(f"no corpus at {path}")
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        texts = [json.loads(line)["text"] if path.suffix == ".jsonl" else line for line in lines]
        fitting = [text for text in texts if 0 < len(text) <= longest and "[SEP]" not in text]
        if longest == LONGEST:
            fitting = sorted(fitting, key=len)[-number:]
        found += [fitting[i] for i in np.linspace(0, len(fitting) - 1, min(number, len(fitting))).astype(int)]
    return list(dict.fromkeys(found))


def generated(seed: int = 0, number: int = _GENERATED) -> list[str]:
    """Return texts of names, places and what stands between them, each with much of one kind of oddity."""
    draw = np.random.default_rng(seed)
    texts: list[str] = []
    while len(texts) < number:
        odd = _POOLS[list(_POOLS)[len(texts) % len(_POOLS)]]
        pools = (_NAMES, _PLACES, _FILLERS, odd, odd, odd)
        picked = (pools[i] for i in draw.integers(0, len(pools), draw.integers(1, 14)))
        texts.append("".join(pool[draw.integers(0, len(pool))] for pool in picked))
    edges = [
        *(each for pool in _POOLS.values() for each in pool),
        "".join(odd for pool in _POOLS.values() for odd in pool),
    ]
    return list(dict.fromkeys([*texts, *edges, " " * 40, "李" * LONGEST, "王小明在北京。" * 70]))


def of_base() -> list[str]:
    """Return short texts for a large model with random weights, which needs no corpora."""
    return [text for text in generated(seed=1) if len(text) <= 40][:220]
