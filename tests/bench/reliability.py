"""Draws how often spans are right, by score: `python tests/bench/reliability.py GOLD PICTURE` (needs matplotlib)."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

import nlp
from nlp.calibration import calibrate
from nlp.gold import read_gold

CURVES = {
    "strict": ("probability of the span (here)", "#1f6feb"),
    "modelscope": ("soft-max of its first tag", "#d4762c"),
}


def main(gold_file: str, picture: str) -> None:
    gold = read_gold(Path(gold_file))
    texts = [document.text for document in gold]
    _, axes = plt.subplots(figsize=(5.6, 4.6), layout="constrained")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    for decode, (name, colour) in CURVES.items():
        annotator = nlp.load(decode=decode, min_score=0.0)
        found = calibrate(gold, annotator.annotate(texts), annotator.types, gold_names={}, predicted_names={})
        scores, shares = [each.score for each in found.bins], [each.right for each in found.bins]
        axes.plot(scores, shares, color=colour, linewidth=1.5, label=f"{name}, error {found.error:.3f}")
        axes.scatter(scores, shares, color=colour, s=[12 + each.spans / 12 for each in found.bins])
    axes.set(xlabel="average score", ylabel="share of spans that are right", xlim=(0, 1.02), ylim=(0, 1.04))
    axes.set_title("The packaged model's scores; dots by number of spans", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    plt.savefig(picture, dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
