"""`model pull` with ModelScope's own client, against a hub of our own. Needs the extra `parity`."""

import subprocess
import sys
import time
from threading import Event

import pytest
from checkpoints import TAGS, write_checkpoint
from foreign import FOREIGN
from hub_server import HubServer

import nlp
from consumer.cli import main
from nlp import model

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]  # the warnings are those of older libraries

ID = "damo/nlp_raner_small"


@pytest.fixture(scope="module")
def endpoint():
    """One hub for the module: the client reads its address once in a process."""
    with HubServer() as server:
        yield server


@pytest.fixture
def hub(endpoint, tmp_path_factory, monkeypatch):
    """The hub, with a published checkpoint."""
    home = tmp_path_factory.mktemp("home")
    for name, value in {
        "MODELSCOPE_ENDPOINT": endpoint.endpoint,
        "MODELSCOPE_HOME": home / "home",
        "MODELSCOPE_CACHE": home / "cache",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, str(value))
    endpoint.altered.clear()
    endpoint.held.clear()
    endpoint.requested.clear()
    endpoint.published.clear()
    endpoint.refusal = None
    endpoint.publish(ID, write_checkpoint(tmp_path_factory.mktemp("published") / "checkpoint"))
    return endpoint


@pytest.fixture
def pull(capsys, tmp_path):
    """Run `model pull` to tmp_path/served; return its exit status, what it printed and what it complained of."""

    def runner(*arguments, model_id=ID):
        with pytest.raises(SystemExit) as ended:
            main(["model", "pull", model_id, str(tmp_path / "served"), *arguments])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return runner


def test_a_pulled_model_annotates_and_nothing_else_is_left(hub, pull, tmp_path, capsys):
    status, out, _ = pull()
    assert status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["served"]
    assert {path.name for path in (tmp_path / "served").iterdir()} == {"encoder", "head.npz", "model.json", "vocab.txt"}
    manifest = model.read_manifest(tmp_path / "served")
    assert (manifest.name, manifest.source, manifest.labels) == (ID, ID, TAGS)
    assert len(manifest.revision) == 12
    nlp.load(tmp_path / "served").annotate(["王小明在北京读书。"])
    with pytest.raises(SystemExit):
        main(["model", "info", str(tmp_path / "served")])
    assert capsys.readouterr().out == out


def test_a_revision_is_downloaded_and_becomes_the_models(hub, pull, tmp_path, tmp_path_factory):
    others = ("O", "B-LOC", "I-LOC", "E-LOC", "S-LOC")
    hub.publish(ID, write_checkpoint(tmp_path_factory.mktemp("v1") / "checkpoint", tags=others), revision="v1.0.0")
    assert pull("--revision", "v1.0.0", "--name", "mine", "--origin", "the hub", "--licence", "MIT")[0] == 0
    made = model.read_manifest(tmp_path / "served")
    assert (made.labels, made.revision) == (others, "v1.0.0")
    assert (made.name, made.source, made.licence) == ("mine", "the hub", "MIT")


def test_only_what_is_needed_is_downloaded(hub, pull):
    directory = hub.published[ID, "master"]
    for name in ("README.md", "train.log", "label_mapping.json.orig"):
        (directory / name).write_text("unneeded")
    assert pull()[0] == 0
    assert sorted(hub.requested) == ["config.json", "configuration.json", "model.safetensors", "vocab.txt"]


def test_a_pickle_of_tensors_is_pulled_alone_where_both_kinds_are_published(hub, pull, tmp_path):
    import torch
    from safetensors.torch import load_file

    directory = hub.published[ID, "master"]
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    assert pull()[0] == 0
    assert "pytorch_model.bin" in hub.requested
    assert "model.safetensors" not in hub.requested


def refused(result, tmp_path, *told):
    status, out, err = result
    assert (status, out) == (2, "")
    for text in told:
        assert text in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["changed", "truncated"])
def test_weights_that_are_not_what_the_hub_lists_are_refused(hub, pull, tmp_path, damage):
    content = (hub.published[ID, "master"] / "model.safetensors").read_bytes()
    changed = content[:-1] + bytes([content[-1] ^ 1])
    hub.altered["model.safetensors"] = changed if damage == "changed" else content[:1000]
    refused(pull(), tmp_path, f"{ID} could not be downloaded: model.safetensors: [E2020]")


def test_an_unknown_id_is_named(hub, pull, tmp_path):
    result = pull(model_id="damo/nowhere")
    refused(result, tmp_path, "damo/nowhere could not be downloaded: the hub has no model of this name", "OWNER/NAME")


def test_an_unknown_revision_is_named(hub, pull, tmp_path):
    refused(pull("--revision", "v9"), tmp_path, f"{ID} could not be downloaded: the hub has no revision 'v9' of it")


@pytest.mark.parametrize(
    ("status", "told"),
    [(403, "the hub refuses it ([E3002] [403] out of order"), (500, "[E1002] [500] out of order")],
)
def test_what_the_hub_answers_is_told(hub, pull, tmp_path, status, told):
    hub.refusal = status
    refused(pull(), tmp_path, f"{ID} could not be downloaded: {told}")


def test_a_hub_that_cannot_be_reached_is_said_to_be(hub, tmp_path, monkeypatch):
    with HubServer() as gone:
        pass
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", gone.endpoint)
    ended = subprocess.run(command(tmp_path), capture_output=True, text=True, timeout=120, check=False)
    result = (ended.returncode, ended.stdout, ended.stderr)
    refused(result, tmp_path, f"{ID} could not be downloaded: the hub cannot be reached", "MODELSCOPE_ENDPOINT")


def test_a_pull_that_is_stopped_leaves_nothing_behind(hub, tmp_path):
    hub.held["model.safetensors"] = Event()
    with subprocess.Popen(command(tmp_path), stderr=subprocess.DEVNULL) as process:
        while "model.safetensors" not in hub.requested:
            assert process.poll() is None
            time.sleep(0.05)
        assert [path.name.startswith(".served-") for path in tmp_path.iterdir()] == [True]
        process.terminate()
        status = process.wait(60)
    hub.held["model.safetensors"].set()
    assert status == 130
    assert list(tmp_path.iterdir()) == []


def command(directory):
    return [sys.executable, "-m", "consumer", "model", "pull", ID, str(directory / "served")]


@pytest.mark.parametrize(("layout", "found", "expected"), FOREIGN)
def test_a_foreign_layout_is_refused_before_its_weights_are_asked_for(hub, pull, tmp_path, layout, found, expected):
    layout(hub.published[ID, "master"])
    refused(pull(), tmp_path, found, expected)
    assert "configuration.json" in hub.requested
    assert not {"model.safetensors", "pytorch_model.bin"} & set(hub.requested)


def test_a_model_without_weights_is_told(hub, pull, tmp_path):
    (hub.published[ID, "master"] / "model.safetensors").unlink()
    refused(pull(), tmp_path, f"{ID} holds no weights (model.safetensors or pytorch_model.bin); found: config.json")


def test_nothing_is_downloaded_over_what_is_there(hub, pull, tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "precious").write_text("x")
    status, _, err = pull()
    assert (status, "exists and is not empty" in err) == (2, True)
    assert hub.requested == []
    assert [path.name for path in tmp_path.rglob("*")] == ["served", "precious"]
