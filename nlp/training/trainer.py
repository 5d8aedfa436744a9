"""A training run: from a recipe to a checkpoint, going on where it was killed."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch

from nlp.errors import TrainingError
from nlp.evaluate import Report
from nlp.training import state
from nlp.training.corpora import Corpus, read_corpora
from nlp.training.descent import Average, adversary, factor, optimizer, set_rates
from nlp.training.fingerprint import fingerprint
from nlp.training.journal import Journal
from nlp.training.network import DeviceBatch, Network, Weights
from nlp.training.recipe import Recipe, conventions
from nlp.training.rows import Batch, Rows
from nlp.training.score import score
from nlp.training.scripts import Scripts
from nlp.training.start import Start, begin
from nlp.training.teacher import Teachers
from nlp.training.write import write_checkpoint

BEST, LAST = "best", "last"
_LOG_EVERY = 20  # steps

Show = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `share` from 0 to 1, the loss a character, and the newest F1 by corpus."""

    share: float
    step: int
    epoch: float
    loss: float
    f1: Mapping[str, float]


def train(recipe: Recipe, show: Show) -> dict[str, Report]:
    """Train to the end and return the figures on the dev sets of the weights in `LAST`.

    `BEST` is the checkpoint with the best mean F1 over the dev sets, where there are any. Under one seed, device and
    number of threads, a run that was killed and went on ends with the same weights as one that was not.
    """
    _prepare(recipe)
    shares = recipe.variants
    scripts = Scripts() if shares.traditional or recipe.relatives else None
    corpora = read_corpora(recipe)
    start = begin(recipe, scripts)
    return _Run(recipe, corpora, start, Rows(recipe, corpora, start.tokenizer, start.tags, scripts), show).run()


def _prepare(recipe: Recipe) -> None:
    if recipe.device != "cpu":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it its sums differ from run to run
    try:
        torch.empty(0, device=recipe.device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"device is {recipe.device!r}: {reason}; expected cpu, or a cuda that is there") from error
    recipe.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads what it has not written
    if recipe.threads:
        torch.set_num_threads(recipe.threads)


class _Run:
    def __init__(self, recipe: Recipe, corpora: list[Corpus], start: Start, rows: Rows, show: Show) -> None:
        self._recipe, self._corpora, self._start, self._rows, self._show = recipe, corpora, start, rows, show
        network = Network(
            start.architecture, len(start.tags), len(conventions(recipe)), recipe.dropout, recipe.precision
        )
        network.load(start.tensors)
        self._network = network.to(recipe.device).train()
        self._average = Average(copy.deepcopy(self._network), recipe.averaging, recipe.start_share)
        self._optimizer = optimizer(self._network, recipe)
        self._parts = {"network": network, "average": self._average.network, "optimizer": self._optimizer}
        self._run = fingerprint(recipe, corpora, start)
        self._place = state.restore(recipe.output, self._parts, self._run)
        self._journal = Journal(recipe.output, self._place.step or -1)  # nothing saved: all is done again
        self._weights = Weights(recipe.corpus_loss, recipe.corpus_heads, recipe.teacher_loss)
        self._teachers = Teachers(recipe.teachers, start, recipe.device, recipe.precision)
        self._saved = time.monotonic()
        self._f1: dict[str, float] = {}
        if not self._place.step:
            head = "new" if "linear.weight" not in start.tensors else "the encoder's"
            self._journal.write({"step": 0, **_data(corpora), "tokens": len(start.vocabulary), "head": head})

    def run(self) -> dict[str, Report]:
        """Take the steps that are left, saving, measuring and logging on the way."""
        place, epochs = self._place, self._recipe.epochs
        losses: list[float] = []
        tokens, since = 0, time.monotonic()
        while place.epoch < epochs:
            batches = self._rows.epoch(place.epoch)
            part = min(1.0, epochs - place.epoch)  # of a last epoch that is no whole one
            count = min(len(batches), max(1, round(len(batches) * part)))
            while place.batch < count:
                reached = place.epoch + place.batch / len(batches)
                losses.append(self._step(batches[place.batch], reached / epochs))
                tokens += int(batches[place.batch].lengths.sum())
                place.batch += 1
                place.step += 1
                if place.step % _LOG_EVERY == 0:
                    rate = tokens / (time.monotonic() - since)
                    self._log(reached, fmean(losses), rate)
                    losses, tokens, since = [], 0, time.monotonic()
                if place.step % self._recipe.evaluate_every == 0:
                    self._measure(reached)
                self._save_in_time()
            if count < len(batches):
                break  # with more epochs it goes on from here
            place.epoch, place.batch = place.epoch + 1, 0
        reports = self._measure(epochs)
        self._save()
        return reports

    def _step(self, batch: Batch, progress: float) -> float:
        """Move the weights once; return the loss a character."""
        recipe, device = self._recipe, self._recipe.device
        arrays = (batch.ids, batch.tags, batch.lengths, batch.conventions)
        tensors = DeviceBatch(*(torch.from_numpy(array).to(device) for array in arrays))
        taught = self._teachers.expected(tensors.ids, tensors.lengths) if recipe.teachers else None
        set_rates(self._optimizer, factor(progress, recipe.warm_up, recipe.floor))
        loss = self._network.loss(tensors, taught, self._weights)
        loss.backward()
        if recipe.adversary:
            with adversary(self._network, recipe.adversary):
                self._network.loss(tensors, taught, self._weights).backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), recipe.clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._average.update(self._network, self._place.step + 1)
        return float(loss.detach())

    def _log(self, epoch: float, loss: float, rate: float) -> None:
        place = self._place
        self._journal.write(
            {"step": place.step, "epoch": round(epoch, 4), "loss": round(loss, 5), "characters_per_second": round(rate)}
        )
        self._show(Progress(epoch / self._recipe.epochs, place.step, epoch, loss, self._f1))

    def _measure(self, epoch: float) -> dict[str, Report]:
        """Measure the averaged weights on the dev sets, and write them as a checkpoint."""
        network, output = self._average.with_start(), self._recipe.output
        reports = score(network, self._start, self._corpora, self._recipe.device)
        self._f1 = {name: round(report.micro.f1, 5) for name, report in reports.items()}
        types = {
            name: {label: round(counts.f1, 4) for label, counts in report.types.items()}
            for name, report in reports.items()
        }
        mean = fmean(self._f1.values()) if self._f1 else 0.0
        entry: dict[str, Any] = {"step": self._place.step, "epoch": round(epoch, 4)}
        self._journal.write({**entry, "f1": self._f1, "mean_f1": round(mean, 5), "types": types})
        self._journal.draw()
        write_checkpoint(network.kept(), self._start, output / LAST)
        if reports and mean > self._place.best:
            self._place.best = mean
            write_checkpoint(network.kept(), self._start, output / BEST)
        return reports

    def _save_in_time(self) -> None:
        if time.monotonic() - self._saved >= self._recipe.save_every_seconds:
            self._save()

    def _save(self) -> None:
        state.save(self._recipe.output, self._place, self._parts, self._run)
        self._saved = time.monotonic()


def _data(corpora: list[Corpus]) -> dict[str, Any]:
    return {
        "corpora": {
            corpus.name: {
                "train": len(corpus.train),
                "characters": sum(len(document.text) for document in corpus.train),
                "entities": sum(len(document.spans) for document in corpus.train),
                "dev": len(corpus.dev),
                "left_out_in_dev_sets": corpus.in_dev_sets,
                "left_out_twice": corpus.twice,
            }
            for corpus in corpora
        }
    }
