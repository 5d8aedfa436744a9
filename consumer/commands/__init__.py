"""What each command does, one function each; the console shows it. The name is the command's, or its last word's."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import nlp
from consumer import console, logs, settings
from consumer.console import lines, reports
from consumer.console.demo import demo_summary, showing
from consumer.errors import SettingsError
from consumer.interrupts import clean_up_on_sigterm
from nlp import model
from nlp.annotator import Annotator
from schemas.messages import json_schema

if TYPE_CHECKING:
    from nlp.convert import Quantization


def run(arguments: argparse.Namespace) -> int:
    """`raner-stream run`."""
    from consumer import app

    return app.run(settings.told(arguments).settings)


def check_config(arguments: argparse.Namespace) -> int:
    """`raner-stream check-config`."""
    from consumer import app

    logs.configure("critical")  # a broker that is not there is nothing to tell of: none is needed
    loaded = settings.told(arguments)
    core = app.check(loaded.settings)
    reports.settings(loaded)
    reports.model(core.manifest)
    reports.plan(core.plan)
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """`raner-stream demo`."""
    from consumer.demo.run import run_demo

    clean_up_on_sigterm()
    with showing(quiet=arguments.format == "json") as show:
        summary = run_demo(show, arguments.messages, arguments.model)
    if arguments.format == "json":
        console.plain(json.dumps(asdict(summary), ensure_ascii=False))
    else:
        demo_summary(summary)
    return 0 if summary.complete else 1


def annotate(arguments: argparse.Namespace) -> int:
    """`raner-stream annotate`."""
    from consumer.offline import BadLine, annotate_lines

    fields = tuple(name.strip() for name in arguments.text_fields.split(","))
    writer = lines.line_writer(arguments.format)
    bad = 0
    with _opened(arguments.file) as file:
        for line in annotate_lines(file, _annotator(arguments), fields, arguments.input):
            if isinstance(line, BadLine):
                bad += 1
                console.error(f"{arguments.file}:{line.number}: {line.error}")
            else:
                writer(line)
    return 1 if bad else 0


def evaluate(arguments: argparse.Namespace) -> int:
    """`raner-stream eval`."""
    from nlp import evaluate as evaluation
    from nlp.calibration import calibrate
    from nlp.gold import read_gold

    theirs, ours = _names(arguments.map), _names(arguments.map_predicted)
    gold = [document for path in arguments.files for document in read_gold(path)]
    annotator = _annotator(arguments)
    types = annotator.types
    evaluation.require_shared(gold, types, gold_names=theirs, predicted_names=ours)
    predicted = annotator.annotate([document.text for document in gold])
    measure = partial(evaluation.evaluate, labels=types, gold_names=theirs, predicted_names=ours)
    whole = measure(gold, predicted)
    grouped = partial(measure, counted=whole.types)
    lengths = evaluation.by_length(gold, predicted, grouped) if arguments.by_length else {}
    scores = None
    if arguments.calibration:
        scores = calibrate(gold, predicted, types, gold_names=theirs, predicted_names=ours)
    reports.report(whole, arguments.format, lengths, scores)
    return 0


def train(arguments: argparse.Namespace) -> int:
    """`raner-stream train`."""
    from nlp.training.recipe import read_recipe

    recipe = read_recipe(arguments.recipe)
    try:
        from nlp.training import trainer
    except ModuleNotFoundError as error:
        raise SettingsError(f"training needs {error.name}: pip install 'raner-stream[train]'") from error
    with console.training() as show:
        measured = trainer.train(recipe, show)
    for name, report in measured.items():
        console.plain(name)
        reports.report(report, "table")
    console.plain(str(recipe.output / trainer.LAST))
    return 0


def model_convert(arguments: argparse.Namespace) -> int:
    """`raner-stream model convert`."""
    from nlp.convert import convert
    from nlp.making import refuse_occupied

    refuse_occupied(arguments.destination)  # before a comparison that takes its time
    manifest = convert(
        arguments.source,
        arguments.destination,
        name=arguments.name,
        revision=arguments.revision,
        origin=arguments.origin,
        licence=arguments.licence,
        min_score=arguments.min_score,
        quantization=_quantization(arguments)(arguments.source),
        scale=arguments.scale,
    )
    reports.model(manifest)
    return 0


def model_verify(arguments: argparse.Namespace) -> int:
    """`raner-stream model verify`."""
    from nlp import verify

    directory, texts = model.located(arguments.directory), _texts(arguments.texts)
    with verify.float32_of(directory, arguments.checkpoint) as float32:
        comparison = verify.compare(directory, float32, texts, threads=_threads())
    reports.comparison(comparison, arguments.show)
    comparison.require(arguments.threshold)
    return 0


def model_synth(arguments: argparse.Namespace) -> int:
    """`raner-stream model synth`."""
    from nlp import synth

    sizes = {name: getattr(arguments, name) for name in ("layers", "heads", "hidden", "intermediate", "vocabulary")}
    labels = [label.strip() for label in arguments.labels.split(",")]
    architecture = replace(synth.BASE, **sizes)
    synth.synthesize(arguments.destination, architecture, labels, seed=arguments.seed, format=arguments.format)
    return 0


def model_average(arguments: argparse.Namespace) -> int:
    """`raner-stream model average`."""
    from nlp.training.average import average

    average(arguments.sources, arguments.destination)
    return 0


def model_pull(arguments: argparse.Namespace) -> int:
    """`raner-stream model pull`."""
    from nlp.hub import pull

    clean_up_on_sigterm()
    manifest = pull(
        arguments.id,
        arguments.destination,
        name=arguments.name,
        revision=arguments.revision,
        origin=arguments.origin,
        licence=arguments.licence,
        min_score=arguments.min_score,
        scale=arguments.scale,
        choose=_quantization(arguments),
    )
    reports.model(manifest)
    return 0


def model_info(arguments: argparse.Namespace) -> int:
    """`raner-stream model info`."""
    directory = model.located(arguments.directory)
    manifest = model.read_manifest(directory)
    model.verify(directory, manifest)
    reports.model(manifest)
    return 0


def schema(_: argparse.Namespace) -> int:
    """`raner-stream schema`."""
    console.plain(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0


def _annotator(arguments: argparse.Namespace) -> Annotator:
    return nlp.load(
        arguments.model,
        engine=arguments.engine,
        decode=arguments.decode,
        min_score=arguments.min_score,
        threads=arguments.threads or _threads(),
        window=arguments.window,
        overlap=arguments.overlap,
        batch_tokens=arguments.batch_tokens,
    )


def _quantization(arguments: argparse.Namespace) -> Callable[[Path], Quantization]:
    """Return what says of a checkpoint what to write, with --verify after comparing.

    It raises `VerificationError` for an int8 that does not pass.
    """
    wanted: Quantization = arguments.quantization
    if not arguments.verify:
        if arguments.fallback:
            raise SettingsError("--fallback without --verify: nothing would be compared; name texts to compare on")
        return lambda _: wanted
    if wanted == "fp32":
        raise SettingsError("--verify compares int8 with float32, and --quantization fp32 writes no int8")
    return partial(_compared, arguments, _texts(arguments.verify))


def _compared(arguments: argparse.Namespace, texts: Sequence[str], checkpoint: Path) -> Quantization:
    from nlp import verify

    comparison = verify.compare_conversion(checkpoint, texts, scale=arguments.scale, threads=_threads())
    reports.comparison(comparison, arguments.show)
    if comparison.entities.f1 < arguments.threshold and arguments.fallback:
        console.plain("int8 does not pass: float32 is kept")
        return "fp32"
    comparison.require(arguments.threshold)
    wanted: Quantization = arguments.quantization
    return wanted


def _texts(name: str) -> list[str]:
    from consumer.offline import read_texts

    with _opened(name) as file:
        return read_texts(file, name, ("text",), "auto")


def _threads() -> int:
    from consumer.memory import cpu_quota

    return cpu_quota()


def _names(pairs: Iterable[str]) -> Mapping[str, str]:
    names = {}
    for pair in pairs:
        name, separator, other = pair.partition("=")
        if not (separator and name and other):
            raise SettingsError(f"{pair!r} renames nothing; expected FROM=TO, such as NS=LOC")
        names[name] = other
    return names


def _opened(name: str) -> IO[bytes]:
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise SettingsError(f"{name} cannot be read: {error.strerror}") from error
