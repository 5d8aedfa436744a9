import json
import shutil
from pathlib import Path

import pytest

import nlp
from nlp import model
from nlp.errors import ModelError


@pytest.fixture
def directory(tmp_path):
    return shutil.copytree(model.DEFAULT, tmp_path / "copy")


@pytest.mark.parametrize("directory", model.PACKAGED.values(), ids=model.PACKAGED)
def test_a_packaged_model_is_whole(directory):
    manifest = model.read_manifest(directory)
    model.verify(directory, manifest)
    assert manifest.engines == ("ct2-int8",)


def test_a_packaged_model_goes_by_its_name_wherever_a_worker_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    assert model.located("default") == model.located(Path("default")) == model.DEFAULT
    assert model.located("tiny") == model.TINY
    assert model.located("/models/tiny") == Path("/models/tiny")
    assert model.located("./default") == model.located(model.located("./default")) == tmp_path / "default"


@pytest.mark.parametrize("name", ["encoder/model.bin", "head.npz", "vocab.txt"])
def test_a_changed_file_is_refused_by_name(directory, name):
    content = bytearray((directory / name).read_bytes())
    content[len(content) // 2] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} has digest .* the file was changed or cut short"):
        nlp.load(directory)


def test_a_file_cut_short_is_refused_by_name(directory):
    path = directory / "encoder" / "model.bin"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cut short"):
        nlp.load(directory)


def test_a_missing_file_is_named(directory):
    (directory / "head.npz").unlink()
    with pytest.raises(ModelError, match=r"head.npz is missing; model.json lists it"):
        nlp.load(directory)


def test_a_manifest_that_lists_too_little_is_refused(directory):
    content = json.loads((directory / "model.json").read_text())
    del content["files"]["head.npz"]
    (directory / "model.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"lists no head.npz"):
        nlp.load(directory)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not readable"),
        ("[]", "not readable"),
        ("[" * 100_000, "not readable"),
        ('{"format": 99}', "of another format; this version reads 1"),
        ('{"format": 1, "labels": []}', "expected a JSON object with format, name, revision, labels"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(directory, content, told):
    (directory / "model.json").write_text(content)
    with pytest.raises(ModelError, match=told):
        nlp.load(directory)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("files", None),
        ("files", {"vocab.txt": None}),
        ("labels", ["O", 3]),
        ("max_length", "64"),
        ("max_length", 0),
        ("intermediate", 0),
        ("heads", True),
        ("lower_case", 1),
        ("licence", None),
        ("min_score", "0.5"),
        ("min_score", False),
    ],
)
def test_a_manifest_with_a_value_of_another_kind_is_refused_by_name(directory, name, value):
    content = json.loads((directory / "model.json").read_text())
    (directory / "model.json").write_text(json.dumps({**content, name: value}))
    with pytest.raises(ModelError, match=rf"model.json is not readable \({name} is .*, .* belongs there\)"):
        nlp.load(directory)


@pytest.mark.parametrize("value", [45, -0.1])
def test_a_least_score_that_is_no_probability_is_refused(directory, value):
    content = json.loads((directory / "model.json").read_text())
    (directory / "model.json").write_text(json.dumps({**content, "min_score": value}))
    with pytest.raises(ModelError, match=rf"model.json is not readable \(min_score is {value}, a probability"):
        nlp.load(directory)


def test_a_checkpoint_in_place_of_a_serving_directory_is_told_how_to_convert(tmp_path):
    with pytest.raises(ModelError, match="raner-stream model convert"):
        nlp.load(tmp_path)


@pytest.mark.parametrize(("window", "overlap"), [(511, 30), (30, 30), (20, -1)])
def test_a_window_that_the_model_cannot_read_is_refused(window, overlap):
    with pytest.raises(ModelError, match=r"expected 0 <= overlap < window <= 510"):
        nlp.load(window=window, overlap=overlap)


def test_the_digest_changes_with_any_file(directory):
    manifest = model.read_manifest(directory)
    (directory / "vocab.txt").write_text("x")
    assert manifest.digest != type(manifest)(**{**_fields(manifest), "files": model.digests(directory)}).digest


def _fields(manifest):
    return {name: getattr(manifest, name) for name in type(manifest).__slots__}
