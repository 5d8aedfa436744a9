"""Settings, models, plans and measurements, as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from consumer.console import marked, new_table, out, plain, styled
from consumer.given import masked, shown
from consumer.settings import Loaded, flag

if TYPE_CHECKING:
    from consumer.memory import Plan
    from nlp.calibration import Calibration
    from nlp.evaluate import Counts, Report
    from nlp.model import Manifest
    from nlp.verify import Comparison

MIB = 1024**2


def settings(loaded: Loaded) -> None:
    """Print every setting, its value, and where it came from; secrets are masked."""
    table = new_table("setting", "value", "from")
    for name, value in loaded.settings:
        if name != "kafka":
            table.add_row(flag(name), shown(name, value), loaded.origins.get(name, "default"))
    for name, value in masked(loaded.settings.kafka).items():
        table.add_row(f"--kafka {name}", value, "")
    out().print(table)


def model(manifest: Manifest) -> None:
    """Print what a model is."""
    table = new_table("model", manifest.name)
    rows = {
        "revision": manifest.revision,
        "digest": manifest.digest,
        "labels": " ".join(manifest.labels),
        "maximum length": f"{manifest.max_length} tokens",
        "encoder": f"{manifest.layers} layers of {manifest.hidden}, {manifest.heads} heads",
        "quantisation": manifest.quantization + ("" if manifest.scale == "none" else f", {manifest.scale} scale"),
        "least score": f"{manifest.min_score:g}",
        "source": manifest.source,
        "licence": manifest.licence,
        **{f"sha256 {name}": digest for name, digest in manifest.files.items()},
    }
    for name, value in rows.items():
        table.add_row(name, value)
    out().print(table)


def plan(plan: Plan) -> None:
    """Print where the memory goes."""
    table = new_table("memory plan", "MiB", numbers=True)
    for row in plan.rows:
        table.add_row(row.name, f"{row.bytes / MIB:.1f}")
    table.add_row("together", f"{plan.total / MIB:.1f}", style="bold")
    table.add_row("cap", f"{plan.cap / MIB:.1f}" if plan.cap else "none")
    out().print(table)


def report(
    report: Report, format: str, lengths: Mapping[int, Report] | None = None, calibration: Calibration | None = None
) -> None:
    """Print an evaluation: a table in per cent, or JSON in shares.

    `lengths` has those of texts of at least so many characters.
    """
    if format == "json":
        types = {name: _figures(counts) for name, counts in report.types.items()}
        left_out = {"gold": report.gold_left_out, "predicted": report.predicted_left_out}
        told: dict[str, Any] = {"micro": _overall(report), "types": types, "left_out": left_out}
        if lengths:
            told["lengths"] = {str(least): _overall(each) for least, each in lengths.items()}
        if calibration:
            told["calibration"] = asdict(calibration)
        plain(json.dumps(told, ensure_ascii=False))
        return
    table = new_table("type", "precision", "recall", "F1", "gold", "predicted", numbers=True)
    for name, counts in [*report.types.items(), ("micro", report.micro)]:
        shares = (f"{share * 100:.1f}" for share in (counts.precision, counts.recall, counts.f1))
        style = "bold" if name == "micro" else ""
        table.add_row(name, *shares, f"{counts.gold:,}", f"{counts.predicted:,}", style=style)
    out().print(table)
    out().print(f"F1 in 95 of 100 samples of as many texts: {report.low * 100:.1f} to {report.high * 100:.1f}")
    for side, counted in (("gold", report.gold_left_out), ("predicted", report.predicted_left_out)):
        if counted:
            names = ", ".join(f"{name} {count:,}" for name, count in counted.items())
            out().print(f"left out, without a counterpart, {side}: {names}")
    if lengths:
        _lengths(lengths)
    if calibration:
        _calibration(calibration)


def _overall(report: Report) -> dict[str, float | int]:
    return _figures(report.micro) | {"f1_low": round(report.low, 6), "f1_high": round(report.high, 6)}


def _lengths(lengths: Mapping[int, Report]) -> None:
    table = new_table("characters, at least", "F1", "from", "to", "gold", numbers=True)
    for least, each in lengths.items():
        shares = (f"{share * 100:.1f}" for share in (each.micro.f1, each.low, each.high))
        table.add_row(f"{least:,}", *shares, f"{each.micro.gold:,}")
    out().print("", table)


def _figures(counts: Counts) -> dict[str, float | int]:
    return {
        "precision": round(counts.precision, 6),
        "recall": round(counts.recall, 6),
        "f1": round(counts.f1, 6),
        "gold": counts.gold,
        "predicted": counts.predicted,
    }


def _calibration(calibration: Calibration) -> None:
    table = new_table("score", "spans", "average score", "right", numbers=True)
    for each in calibration.bins:
        table.add_row(f"{each.low:.1f} to {each.high:.1f}", f"{each.spans:,}", f"{each.score:.3f}", f"{each.right:.3f}")
    out().print("", table)
    out().print(f"expected calibration error: {calibration.error:.4f}")


def comparison(comparison: Comparison, shown: int) -> None:
    """Print what int8 changes, and at most `shown` of the texts that it reads otherwise."""
    found, c = comparison.entities, comparison
    table = new_table("int8 against float32", "", numbers=True)
    rows = {
        "texts": f"{c.texts:,}",
        "characters": f"{c.characters:,}",
        "error of the emissions, of their spread": f"{c.error:.2%}",
        "characters whose highest tag agrees": f"{c.agreement:.3%}",
        "entities, float32": f"{found.gold:,}",
        "entities, int8": f"{found.predicted:,}",
        "F1 of int8's entities against float32's": f"{found.f1:.2%}",
        "… in 95 of 100 samples of as many texts": f"{c.low:.2%} to {c.high:.2%}",
        "texts that differ": f"{len(c.differences):,}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    out().print(table)
    for difference in c.differences[:shown]:
        for sign, spans in (("-", difference.lost), ("+", difference.added)):
            if spans:
                line = marked(difference.text, [(span.start, span.end, span.label) for span in spans])
                out().print(styled((f"{sign} ", "bold"), line))
    if (left := len(c.differences) - shown) > 0:
        out().print(f"… and {left:,} more (--show)")
