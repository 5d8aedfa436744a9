import os
from typing import get_args

import pytest
from checkpoints import random_tensors, with_leftovers, write_checkpoint

from consumer.settings import Settings
from nlp import load
from nlp.convert import convert
from nlp.engines import ENGINES, choose, cpu, ct2, open_engine
from nlp.errors import ModelError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("engines") / "checkpoint")


@pytest.fixture
def flags(tmp_path, monkeypatch):
    """Make this machine one whose processor says it has these flags."""

    def set_flags(*names):
        path = tmp_path / "cpuinfo"
        path.write_text(f"processor\t: 0\nflags\t\t: fpu {' '.join(names)}\n")
        monkeypatch.setattr(cpu, "is_x86", lambda: True)
        for module in (cpu, ct2):
            monkeypatch.setattr(module, "cpu_flags", lambda: known(path))
        # What the engine asks of CTranslate2 then must not reach it, nor later tests: this machine may not have it.
        monkeypatch.setattr(os, "environ", dict(os.environ))

    known = cpu.cpu_flags
    return set_flags


def test_the_plain_scale_is_refused_where_pairs_are_added_in_16_bits(checkpoint, tmp_path, flags):
    plain = tmp_path / "plain"
    assert convert(checkpoint, plain, scale="plain").scale == "plain"
    flags("avx2", "avx512f")
    with pytest.raises(ModelError, match="plain scale, which overflow on a processor without VNNI or AMX; convert"):
        load(plain, window=60)
    for name in ("avx512_vnni", "avx_vnni", "amx_int8"):
        flags("avx2", name)
        assert load(plain, window=60).annotate(["王小明"])
    flags("avx2")
    convert(checkpoint, tmp_path / "safe")
    assert load(tmp_path / "safe", window=60).annotate(["王小明"])


def test_the_two_scales_give_other_weights(checkpoint, tmp_path):
    plain = convert(checkpoint, tmp_path / "plain", scale="plain")
    safe = convert(checkpoint, tmp_path / "safe", scale="pair-safe")
    assert [name for name, digest in plain.files.items() if safe.files[name] != digest] == ["encoder/model.bin"]


def test_float32_has_no_scale(checkpoint, tmp_path):
    manifest = convert(checkpoint, tmp_path / "fp32", quantization="fp32")
    assert (manifest.scale, manifest.engines) == ("none", ("ct2-fp32",))


@pytest.mark.parametrize(
    ("held", "has", "chosen"),
    [
        ("both", ["avx2"], "ct2-int8"),
        ("both", ["sse4_1"], "ct2-fp32"),
        ("int8", ["sse4_1"], "ct2-int8"),
        ("fp32", ["avx2", "avx512_vnni"], "ct2-fp32"),
    ],
)
def test_auto_goes_by_the_processor_among_what_is_held(checkpoint, tmp_path, flags, held, has, chosen):
    convert(checkpoint, tmp_path / "served", quantization=held)
    flags(*has)
    assert choose.choose("auto", tmp_path / "served", 1) == chosen


def test_a_plain_scale_that_overflows_here_leaves_the_float32_beside_it(checkpoint, tmp_path, flags):
    convert(checkpoint, tmp_path / "served", quantization="both", scale="plain")
    flags("avx2")
    for name in ("auto", "fastest"):
        assert choose.choose(name, tmp_path / "served", 1) == "ct2-fp32"
    flags("avx2", "avx512_vnni")
    assert choose.choose("auto", tmp_path / "served", 1) == "ct2-int8"


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")  # those of torch
@pytest.mark.parametrize("engine", ["torch-fp32", "torch-int8"])
def test_pytorch_reads_a_checkpoint_as_modelscope_writes_it(tmp_path, engine):
    plain = write_checkpoint(tmp_path / "plain")
    written = write_checkpoint(tmp_path / "written", with_leftovers(random_tensors()))
    texts = ["王小明在北京读书。"]
    found, expected = (load(path, engine=engine, window=60).annotate(texts) for path in (written, plain))
    assert found == expected != [[]]


def test_there_is_a_thread_at_least(checkpoint, tmp_path):
    convert(checkpoint, tmp_path / "served")
    with pytest.raises(ModelError, match="threads is -1; expected 1 or more"):
        load(tmp_path / "served", threads=-1)


def test_fastest_measures_what_is_held(checkpoint, tmp_path, monkeypatch):
    convert(checkpoint, tmp_path / "served", quantization="both")
    assert choose.choose("fastest", tmp_path / "served", 1) in ("ct2-int8", "ct2-fp32")
    seconds = {"ct2-int8": 2.0, "ct2-fp32": 1.0}
    monkeypatch.setattr(choose, "_seconds", lambda name, *_: seconds[name])
    assert choose.choose("fastest", tmp_path / "served", 1) == "ct2-fp32"


def test_an_engine_that_the_directory_does_not_hold_is_named_with_those_it_holds(checkpoint, tmp_path):
    convert(checkpoint, tmp_path / "served")
    with pytest.raises(ModelError, match="no encoder for ct2-fp32, it has ct2-int8; convert the checkpoint again"):
        load(tmp_path / "served", engine="ct2-fp32")


def test_an_unknown_engine_is_answered_with_those_there_are(tmp_path):
    with pytest.raises(ModelError, match="no engine is called 'onnx'; expected ct2-int8, ct2-fp32"):
        open_engine("onnx", tmp_path, 1)


def test_the_workers_engines_are_those_of_a_serving_directory():
    offered = set(get_args(Settings.model_fields["engine"].annotation))
    assert offered == {choose.AUTO, choose.FASTEST, *(name for name in ENGINES if name.startswith("ct2"))}


def test_the_default_batch_takes_the_same_memory_whatever_the_model_and_leaves_no_thread_with_little(
    checkpoint, tmp_path
):
    manifest = convert(checkpoint, tmp_path / "served")
    assert load(tmp_path / "served", window=60).batch_tokens == 16 * 1024**2 // manifest.token_bytes
    assert load(tmp_path / "served", window=60, threads=3).batch_tokens == 3 * 192
    assert load(tmp_path / "served", window=60, batch_tokens=77).batch_tokens == 77
