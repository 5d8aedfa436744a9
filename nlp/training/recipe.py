"""A training run as its TOML file describes it: every name, its default and what it means."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from nlp import model
from nlp.errors import LabelError, TrainingError
from nlp.labels import Scheme
from nlp.synth import bioes

PRECISIONS = ("float32", "bfloat16")
_SCALARS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,), "bool": (bool,)}
_Kind = TypeVar("_Kind")
ModelPath = Path
"""A directory for which the name of a packaged model will do."""


@dataclass(frozen=True, slots=True)
class CorpusRecipe:
    """One corpus: gold files, what their types become, and how often its texts are drawn in an epoch."""

    name: str
    train: tuple[Path, ...] = ()
    raw: tuple[Path, ...] = ()  # in place of `train`: texts, one a line, that nobody labelled but the teachers do
    dev: tuple[Path, ...] = ()  # measured, never trained on
    labels: Mapping[str, str] = field(default_factory=dict)  # type -> label; with it, other types are no entities
    convention: str = ""  # what corpora annotated by the same rules have in common; by default the corpus's name
    repeat: float = 1.0  # times that each text is drawn in an epoch; 0 only measures
    hold_out: int = 0  # texts of the train files that make the dev set, a block of neighbours
    hold_out_seed: int = 0  # where that block begins


@dataclass(frozen=True, slots=True)
class Variants:
    """How texts are varied, each with its share of texts (of characters for `unknown`, of entities for `replaced`)."""

    traditional: float = 0.0  # Simplified texts in Traditional characters
    width: float = 0.0  # ASCII in full width, or full width in ASCII
    quotes: float = 0.0  # other quotation marks
    unknown: float = 0.0  # characters that become [UNK]
    replaced: float = 0.0  # entities that become another of their corpus and label, or of the gazetteer
    gazetteers: Mapping[str, Path] = field(default_factory=dict)  # label -> file of names, one a line


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole run. Rates are of AdamW; `head_rate` and `transition_rate` are multiples of `rate`."""

    encoder: ModelPath  # a BERT encoder; or to go on from: a RaNER checkpoint, a serving directory, a packaged model
    output: Path  # directory of the run: checkpoints, log, curve
    corpora: tuple[CorpusRecipe, ...]
    labels: tuple[str, ...] = ("PER", "LOC", "ORG")
    epochs: float = 3.0
    batch_tokens: int = 2048  # padded tokens of a step
    windows: tuple[int, ...] = (126,)  # characters; one of them is picked for every row
    joined: float = 0.0  # share of rows that hold several neighbouring texts of a corpus, up to the window
    rate: float = 1.5e-4  # peak
    head_rate: float = 10.0
    transition_rate: float = 60.0
    warm_up: float = 0.05  # share of the steps until the peak
    floor: float = 0.02  # share of the peak at the end of the cosine
    weight_decay: float = 0.01
    dropout: float = 0.1
    averaging: float = 0.999  # of the weights, per step; 0 takes the last ones
    start_share: float = 0.0  # of the weights that the run began with, in those that are measured and written
    clip: float = 1.0  # norm of the gradient
    adversary: float = 0.0  # norm of the step against the loss that embeddings take in a second reading of each batch
    corpus_loss: float = 0.0  # weight of telling the convention from [CLS] in the middle of the encoder
    corpus_heads: float = 0.0  # weight of a linear layer per convention beside the one that is kept
    layers: tuple[int, ...] = ()  # of the encoder that are kept, counted from 0; none named keeps all
    hidden: int = 0  # channels of the encoder that are kept, the strongest, with as many heads; 0 keeps all
    intermediate: int = 0  # neurons of every feed-forward network that are kept, the strongest; 0 keeps all
    teachers: tuple[ModelPath, ...] = ()  # trained models, like `encoder`, from which it learns what to expect
    teacher_loss: float = 1.0  # weight of what they expect beside the labels
    impossible: float = -6.0  # where transitions that BIOES does not have begin
    relatives: bool = True  # add characters that the vocabulary lacks, as copies of their other script or width
    variants: Variants = field(default_factory=Variants)
    seed: int = 1
    precision: str = "float32"
    device: str = "cpu"
    threads: int = 0  # 0 leaves it to torch
    evaluate_every: int = 500  # steps between two measurements on the dev sets; each may write the best checkpoint
    save_every_seconds: float = 300.0


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; paths are relative to its file. Raise `TrainingError` naming what is wrong in it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path} cannot be read as a recipe in TOML: {error}") from error
    base = path.resolve().parent
    named = content.pop("corpora", {})
    if not isinstance(named, dict) or not named:
        raise TrainingError(f"{path} names no corpora; expected at least one table [corpora.NAME]")
    corpora = tuple(
        _filled(
            CorpusRecipe,
            {"name": name, **_table(table, f"{path}: [corpora.{name}]")},
            f"{path}: [corpora.{name}]",
            base,
        )
        for name, table in named.items()
    )
    variants = _filled(Variants, _table(content.pop("variants", {}), f"{path}: variants"), f"{path}: [variants]", base)
    recipe = _filled(Recipe, {**content, "corpora": corpora, "variants": variants}, str(path), base)
    _check(recipe, path)
    return recipe


def conventions(recipe: Recipe) -> list[str]:
    """Return the conventions of the labelled corpora, each once."""
    return list(dict.fromkeys(corpus.convention or corpus.name for corpus in recipe.corpora if not corpus.raw))


def _table(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TrainingError(f"{place} is {value!r:.40}; expected a table")
    return value


def _filled(kind: type[_Kind], values: Mapping[str, Any], place: str, base: Path) -> _Kind:
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]  # each kind here is a dataclass
    if unknown := sorted(set(values) - set(known)):
        raise TrainingError(f"{place} has unknown names {', '.join(unknown)}; expected {', '.join(known)}")
    required = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in required if name not in values]:
        raise TrainingError(f"{place} lacks {', '.join(missing)}")
    converted = {
        name: _converted(str(known[name].type), value, f"{place} {name}", base) for name, value in values.items()
    }
    return kind(**converted)


def _converted(kind: str, value: Any, place: str, base: Path) -> Any:
    """Return a value of TOML as the field's type; a whole number will do for a real one."""
    if kind in _SCALARS:
        if not isinstance(value, _SCALARS[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise TrainingError(f"{place} is {value!r:.40}; expected {kind}")
        return _SCALARS[kind][0](value)
    packaged = model.PACKAGED if "ModelPath" in kind else {}
    kind = kind.replace("ModelPath", "Path")
    if kind == "Path":
        return _path(_text(value, place), base, packaged)
    if kind == "Mapping[str, str]":
        return {name: _text(item, f"{place}.{name}") for name, item in _table(value, place).items()}
    if kind == "tuple[Path, ...]":
        items = _list([value] if isinstance(value, str) else value, str, place)
        return tuple(_path(item, base, packaged) for item in items)
    if kind == "Mapping[str, Path]":
        return {name: base / _text(item, f"{place}.{name}") for name, item in _table(value, place).items()}
    lists = {"tuple[int, ...]": int, "tuple[str, ...]": str}
    return _list(value, lists[kind], place) if kind in lists else value  # a part that is filled already


def _path(value: str, base: Path, packaged: Mapping[str, Path]) -> Path:
    return packaged.get(value, base / value)


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise TrainingError(f"{place} is {value!r:.40}; expected a string")
    return value


def _list(value: Any, kind: type, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise TrainingError(f"{place} is {value!r:.40}; expected a list of {kind.__name__}")
    return tuple(value)


def _check(recipe: Recipe, path: Path) -> None:
    _check_numbers(recipe, path)
    if recipe.precision not in PRECISIONS:
        raise TrainingError(f"{path}: precision is {recipe.precision!r}; expected {' or '.join(PRECISIONS)}")
    if not recipe.windows or min(recipe.windows) <= 1:
        raise TrainingError(f"{path}: windows are {recipe.windows}; expected numbers of characters")
    if not recipe.labels:
        raise TrainingError(f"{path}: labels names none; expected such as PER, LOC, ORG")
    try:
        Scheme.of(bioes(recipe.labels))
    except LabelError as error:
        raise TrainingError(f"{path}: labels: {error}") from error
    if strange := sorted(set(recipe.variants.gazetteers) - set(recipe.labels)):
        raise TrainingError(f"{path}: gazetteers has {', '.join(strange)}; labels has {', '.join(recipe.labels)}")
    _check_corpora(recipe, path)


def _check_numbers(recipe: Recipe, path: Path) -> None:
    shares = {f.name: getattr(recipe.variants, f.name) for f in fields(Variants) if f.type == "float"}
    names = ("joined", "warm_up", "floor", "averaging", "start_share", "dropout")
    shares |= {name: getattr(recipe, name) for name in names}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise TrainingError(f"{path}: {name} is {share}; expected a share from 0 to 1")
    for name in ("adversary", "seed", "threads", "weight_decay"):
        if not 0 <= getattr(recipe, name) < math.inf:
            raise TrainingError(f"{path}: {name} is {getattr(recipe, name)}; expected 0 or more")
    for name in ("epochs", "rate", "batch_tokens", "evaluate_every", "clip"):
        if not 0 < getattr(recipe, name) < math.inf:
            raise TrainingError(f"{path}: {name} is {getattr(recipe, name)}; expected more than 0")


def _check_corpora(recipe: Recipe, path: Path) -> None:
    for corpus in recipe.corpora:
        if bool(corpus.train) is bool(corpus.raw):
            raise TrainingError(f"{path}: [corpora.{corpus.name}] needs either train, labelled texts, or raw")
        for name in ("repeat", "hold_out", "hold_out_seed"):
            if not 0 <= getattr(corpus, name) < math.inf:
                raise TrainingError(
                    f"{path}: [corpora.{corpus.name}] {name} is {getattr(corpus, name)}; expected 0 or more"
                )
        if corpus.raw and not recipe.teachers:
            raise TrainingError(f"{path}: [corpora.{corpus.name}] is raw; expected teachers, who label it")
        if strange := sorted(set(corpus.labels.values()) - set(recipe.labels)):
            raise TrainingError(
                f"{path}: [corpora.{corpus.name}] maps to {', '.join(strange)}; labels has {', '.join(recipe.labels)}"
            )
