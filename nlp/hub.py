"""Downloads a RaNER checkpoint from ModelScope, with its own client, and makes a serving directory of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from nlp.checkpoint import read_small_files
from nlp.convert import Quantization, Scale, convert
from nlp.errors import CheckpointError, HubError
from nlp.load import load
from nlp.making import MADE, made_whole
from nlp.model import MANIFEST, Manifest
from nlp.tensors import WEIGHTS

_SMALL_FILES = ("configuration.json", "config.json", "label_mapping.json", "tokenizer_config.json", "vocab.txt")
# Read by the client when it is imported: how often it asks for what there is, before it downloads anything.
_PATIENCE = {"MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "2", "MODELSCOPE_API_MAX_RETRIES": "2"}
_TRIAL = "王小明在北京大学读书。"


def pull(
    model_id: str,
    destination: Path,
    *,
    revision: str | None = None,
    name: str | None = None,
    origin: str | None = None,
    licence: str | None = None,
    min_score: float = 0.0,
    scale: Scale = "pair-safe",
    choose: Callable[[Path], Quantization] = lambda _: "int8",
) -> Manifest:
    """Download the checkpoint `model_id` at `revision`, convert it to `destination`, and return the manifest.

    `choose` is given the checkpoint and says what to write; it may compare first, and raise.

    The small files come first, and a foreign layout is refused before its weights are asked for. The result has been
    loaded and has annotated a text before it stands at `destination`; whatever fails leaves nothing there, and the
    download is removed in any case. Raises `HubError` for what could not be downloaded, `CheckpointError` for what is
    no RaNER checkpoint, and `ModelError` when `destination` exists and holds something.
    """
    with made_whole(destination, MANIFEST) as directory:
        client, source, made = _client(), directory / "checkpoint", directory / MADE
        try:
            _download(client, model_id, revision, source, _SMALL_FILES)
            read_small_files(source)
            for weights in reversed(WEIGHTS):  # RaNER is published as pytorch_model.bin; one kind is enough
                _download(client, model_id, revision, source, [weights])
                if (source / weights).is_file():
                    break
            manifest = convert(
                source,
                made,
                name=name or model_id,
                revision=revision,
                origin=origin or model_id,
                licence=licence,
                min_score=min_score,
                quantization=choose(source),
                scale=scale,
            )
        except CheckpointError as error:  # say the model's name in place of a directory that will be gone
            raise CheckpointError(str(error).replace(str(source), model_id)) from error
        load(made).annotate([_TRIAL])
    return manifest


def _client() -> Any:
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        from modelscope.hub.snapshot_download import snapshot_download
    except ModuleNotFoundError as error:
        missing = (error.name or "modelscope").partition(".")[0]
        raise HubError(
            f"downloading from ModelScope needs {missing}, which is not installed: pip install 'raner-stream[convert]'"
        ) from error
    return snapshot_download


def _download(client: Any, model_id: str, revision: str | None, directory: Path, files: Sequence[str]) -> None:
    """Download those of the files that there are; the client compares each with the size and sha256 the hub lists."""
    try:
        client(
            model_id,
            revision=revision,
            cache_dir=str(directory.parent / "cache"),  # for its locks
            local_dir=str(directory),
            allow_patterns=list(files),
        )
    except Exception as error:  # the client's own kinds, those of requests, those of the file system
        raise HubError(f"{model_id} could not be downloaded: {_reason(error, revision)}") from error


def _reason(error: Exception, revision: str | None) -> str:
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    failed: dict[str, BaseException] = getattr(error, "failed_files", {})  # of several files, each has its own
    told = "; ".join(f"{path}: {_headline(each)}" for path, each in failed.items()) or _headline(error)
    if status == HTTPStatus.NOT_FOUND:
        what = f"revision {revision!r} of it" if revision else "model of this name"
        return f"the hub has no {what} that you may see ({told}); expected OWNER/NAME, and a tag or branch of it"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"the hub refuses it ({told}); log in with `modelscope login`, or set MODELSCOPE_API_TOKEN"
    if isinstance(error, ConnectionError | TimeoutError):
        return f"the hub cannot be reached ({told}); check the network, the proxy and MODELSCOPE_ENDPOINT"
    return f"{told}; try again later"


def _headline(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
