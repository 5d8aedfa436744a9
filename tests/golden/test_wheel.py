"""The built wheel holds what it must: an ignore rule can silently drop a binary."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"consumer", "nlp", "schemas"}
MODELS = "nlp/models"
OF_A_MODEL = (
    "encoder/config.json",
    "encoder/model.bin",
    "encoder/vocabulary.json",
    "head.npz",
    "model.json",
    "vocab.txt",
)
NEEDED = {
    *(f"{MODELS}/{name}/{file}" for name in ("default", "tiny") for file in OF_A_MODEL),
    f"{MODELS}/LICENSE",
    "consumer/demo/messages.jsonl",
    "schemas/annotated-message-1.0.schema.json",
    "consumer/py.typed",
    "nlp/py.typed",
    "schemas/py.typed",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = directory.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_the_models_the_demo_and_every_module(wheel):
    names = set(wheel.namelist())
    modules = {path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert (NEEDED | modules) - names == set()
    assert {name.split("/")[0] for name in names if not name.startswith("raner_stream-")} == ROOMS
    assert not any(name.startswith("nlp/training/texts/") for name in names), "they are for training only"


def test_every_file_of_the_models_is_in_the_wheel_as_it_is_here(wheel):
    for name in NEEDED:
        assert wheel.read(name) == (ROOT / name).read_bytes()


def test_the_wheels_metadata_names_the_terms_and_brings_no_training_library(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT AND LicenseRef-raner-stream-weights"
    assert set(metadata.get_all("License-File")) == {"LICENSE", f"{MODELS}/LICENSE"}
    always = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert {line.split(">")[0].split("<")[0].strip() for line in always} == {
        "confluent-kafka", "ctranslate2", "numpy", "prometheus-client", "psutil", "pydantic", "rich"
    }  # fmt: skip
    assert set(metadata.get_all("Provides-Extra")) == {"convert", "train", "bench", "test", "parity", "lint"}


def test_the_wheel_is_small_enough_to_ship(wheel):
    assert sum(info.compress_size for info in wheel.infolist()) < 20 * 1024**2
