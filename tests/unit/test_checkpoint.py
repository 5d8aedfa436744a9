import json
from dataclasses import replace

import numpy as np
import pytest
from checkpoints import SMALL, TAGS, random_tensors, renamed, with_leftovers, write_checkpoint
from foreign import FOREIGN

import nlp
from nlp.checkpoint import expected_shapes, read_checkpoint
from nlp.convert import convert
from nlp.errors import CheckpointError, LabelError


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"head.{name}" if name.startswith(("linear", "crf")) else name,
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
    ],
)
def test_other_spellings_of_the_keys_are_read_the_same(tmp_path, rename):
    plain = convert(write_checkpoint(tmp_path / "plain"), tmp_path / "a")
    other = convert(write_checkpoint(tmp_path / "other", renamed(random_tensors(), rename)), tmp_path / "b")
    assert plain.digest == other.digest


def test_what_the_encoder_does_not_compute_with_is_left_out(tmp_path):
    directory = write_checkpoint(tmp_path / "checkpoint", with_leftovers(random_tensors()))
    assert read_checkpoint(directory).tensors.keys() == expected_shapes(SMALL, len(TAGS)).keys()


def test_bfloat16_is_read_as_the_upper_half_of_float32(tmp_path):
    tensors = random_tensors()
    halves = {
        name: (value.view(np.uint32) >> 16).astype(np.uint16) for name, value in tensors.items() if "crf" not in name
    }
    directory = write_checkpoint(tmp_path / "checkpoint", tensors | halves)
    weights = directory / "model.safetensors"
    content = weights.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")  # of the header
    header = content[8:end].replace(b'"U16"', b'"BF16"')
    weights.write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
    for name, value in read_checkpoint(directory).tensors.items():
        kept = (tensors[name].view(np.uint32) & 0xFFFF0000).view(np.float32) if name in halves else tensors[name]
        np.testing.assert_array_equal(value, kept)


def pickled(directory, made):
    """Write a checkpoint whose weights are a pickle of what `made` makes of torch and tensors."""
    torch = pytest.importorskip("torch")
    write_checkpoint(directory)
    (directory / "model.safetensors").unlink()
    state = {name: torch.from_numpy(value) for name, value in random_tensors().items()}
    torch.save(made(torch, state), directory / "pytorch_model.bin")
    return directory


@pytest.mark.parity
def test_a_pickle_of_parameters_is_read(tmp_path):
    def parameters(torch, state):
        return {name: torch.nn.Parameter(value.bfloat16() if "crf" in name else value) for name, value in state.items()}

    read = read_checkpoint(pickled(tmp_path / "checkpoint", parameters)).tensors
    np.testing.assert_array_equal(read["linear.weight"], random_tensors()["linear.weight"])
    np.testing.assert_allclose(read["crf.transitions"], random_tensors()["crf.transitions"], rtol=1 / 128)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda _, state: {"model": state, "step": 3}, "'model' holds dict; expected names and tensors alone"),
        (lambda _, state: {**state, "step": 3}, "'step' holds int; expected names and tensors alone"),
        (lambda _, state: {7: state["linear.bias"]}, "7 holds Tensor; expected names"),
        (lambda _, state: list(state.values()), "dictionary of tensors: it holds list"),
    ],
)
def test_a_pickle_of_more_than_tensors_names_what_it_holds(tmp_path, made, told):
    with pytest.raises(CheckpointError, match=told):
        read_checkpoint(pickled(tmp_path / "checkpoint", made))


def test_labels_are_looked_up_in_modelscopes_order(tmp_path):
    directory = write_checkpoint(tmp_path / "checkpoint", label2id={"O": 0})
    assert read_checkpoint(directory).scheme.tags == TAGS
    others = ("O", "B-LOC", "I-LOC", "E-LOC", "S-LOC")
    (directory / "label_mapping.json").write_text(json.dumps({tag: i for i, tag in enumerate(others)}))
    assert read_checkpoint(directory).scheme.tags == others
    (directory / "label_mapping.json").unlink()
    (directory / "configuration.json").unlink()
    config = json.loads((directory / "config.json").read_text())
    config |= {"label2id": None, "id2label": {str(i): tag for i, tag in enumerate(others)}}
    (directory / "config.json").write_text(json.dumps(config))
    assert read_checkpoint(directory).scheme.tags == others


def without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        (without(random_tensors(), "crf.transitions"), "lacks crf.transitions and 0 more"),
        (renamed(random_tensors(), lambda n: n.replace("encoder.", "bert.", 1)), r"it holds 42 \(bert\.\*, crf\.\*"),
        (random_tensors() | {"linear.bias": np.zeros(9, np.float32)}, r"linear.bias has shape \(9,\); expected \(5,\)"),
        (random_tensors() | {"linear.bias": np.full(5, np.nan, np.float32)}, "linear.bias holds values .* not finite"),
    ],
)
def test_weights_that_are_not_raners_are_refused_by_name(tmp_path, tensors, told):
    with pytest.raises(CheckpointError, match=told):
        read_checkpoint(write_checkpoint(tmp_path / "checkpoint", tensors))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "xlm-roberta"}, "model_type is 'xlm-roberta'"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"hidden_size": None}, "hidden_size is None; expected a whole number above 0"),
        ({"hidden_size": 32.0}, "hidden_size is 32.0; expected a whole number"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; expected a whole number above 0"),
        ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
        ({"num_hidden_layers": 1}, r"holds encoder.encoder.layer.1\..*config.json says 1 layers, counted from 0"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_attention_heads": True}, "num_attention_heads is True"),
        ({"num_attention_heads": 5}, "hidden_size 32 is no multiple of num_attention_heads 5"),
        ({"max_position_embeddings": "x"}, "max_position_embeddings is 'x'; expected a whole number above 0"),
        ({"max_position_embeddings": None}, r"has shape \(64, 32\); expected \(512, 32\)"),
        ({"type_vocab_size": []}, r"type_vocab_size is \[\]; expected a whole number"),
        ({"layer_norm_eps": "x"}, "layer_norm_eps is 'x'; expected a small number"),
        ({"layer_norm_eps": -1}, "layer_norm_eps is -1; expected a small number"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps is nan; expected a small number"),
        ({"hidden_size": 48}, r"has shape .*32.*; expected .*48"),
        ({"vocab_size": 3}, "has 20 tokens; config.json says 3"),
    ],
)
def test_a_foreign_configuration_is_refused_by_name(tmp_path, changes, told):
    with pytest.raises(CheckpointError, match=told):
        read_checkpoint(write_checkpoint(tmp_path / "checkpoint", **changes))


def test_a_null_in_the_configuration_means_berts_default(tmp_path):
    names = ("max_position_embeddings", "type_vocab_size", "layer_norm_eps", "hidden_act")
    tensors = random_tensors(architecture=replace(SMALL, positions=512))
    nulls = write_checkpoint(tmp_path / "checkpoint", tensors, **dict.fromkeys(names))
    assert read_checkpoint(nulls).architecture == replace(SMALL, positions=512)
    assert convert(nulls, tmp_path / "served").max_length == 512


@pytest.mark.parametrize(("layout", "found", "expected"), FOREIGN)
def test_a_layout_of_another_model_is_told_by_its_small_files(tmp_path, layout, found, expected):
    directory = write_checkpoint(tmp_path / "checkpoint")
    layout(directory)
    (directory / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(CheckpointError) as refusal:
        read_checkpoint(directory)
    assert found in str(refusal.value)
    assert expected in str(refusal.value)


def test_a_checkpoint_that_names_no_type_is_read(tmp_path):
    directory = write_checkpoint(tmp_path / "checkpoint")
    settings = json.loads((directory / "configuration.json").read_text())
    (directory / "configuration.json").write_text(json.dumps(settings | {"model": {}}))
    assert read_checkpoint(directory).scheme.tags == TAGS


def test_an_activation_that_the_engine_lacks_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="hidden_act is 'mish'"):
        convert(write_checkpoint(tmp_path / "checkpoint", hidden_act="mish"), tmp_path / "served")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_label_set_that_is_no_scheme_is_refused(tmp_path):
    with pytest.raises(LabelError, match="'positive' is no tag"):
        read_checkpoint(write_checkpoint(tmp_path / "checkpoint", tags=("O", "positive", "b", "c", "d")))


@pytest.mark.parametrize("kept", [0, 7, 1_000, 50_000])
def test_a_weights_file_cut_short_is_named(tmp_path, kept):
    directory = write_checkpoint(tmp_path / "checkpoint")
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"model\.safetensors could not be read"):
        read_checkpoint(directory)


@pytest.mark.parametrize("name", ["config.json", "configuration.json"])
@pytest.mark.parametrize("damage", [lambda content: content[:20], lambda _: b"[" * 100_000])
def test_a_small_file_that_is_damaged_is_named(tmp_path, name, damage):
    directory = write_checkpoint(tmp_path / "checkpoint")
    (directory / name).write_bytes(damage((directory / name).read_bytes()))
    with pytest.raises(CheckpointError, match=rf"{name} is no JSON"):
        read_checkpoint(directory)


@pytest.mark.parametrize("missing", ["config.json", "vocab.txt"])
def test_a_missing_file_is_named(tmp_path, missing):
    directory = write_checkpoint(tmp_path / "checkpoint")
    (directory / missing).unlink()
    with pytest.raises(CheckpointError, match=f"{missing} is missing"):
        read_checkpoint(directory)


@pytest.mark.parametrize("mapping", [["O", "B-PER"], {"O": "zero"}, {"O": 0, "B-PER": 7}])
def test_labels_that_cannot_be_numbered_are_refused(tmp_path, mapping):
    directory = write_checkpoint(tmp_path / "checkpoint")
    (directory / "configuration.json").write_text(json.dumps({"preprocessor": {"label2id": mapping}}))
    with pytest.raises(CheckpointError, match=r"configuration.json preprocessor.label2id (is|numbers)"):
        read_checkpoint(directory)


def test_missing_weights_and_labels_are_named(tmp_path):
    directory = write_checkpoint(tmp_path / "checkpoint")
    (directory / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"holds no weights .*found: config.json, configuration.json, vocab.txt"):
        read_checkpoint(directory)
    (directory / "configuration.json").unlink()
    with pytest.raises(CheckpointError, match="names no labels"):
        read_checkpoint(directory)


def test_a_directory_that_is_none_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is no directory"):
        read_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("[PAD]\n", "pad\n").encode(), r"vocab.txt has no \[PAD\]; expected BERT's"),
        (lambda text: text.encode("utf-16"), "vocab.txt cannot be read as UTF-8"),
    ],
)
def test_a_vocabulary_that_no_tokenizer_reads_is_refused_before_it_is_served(tmp_path, change, said):
    path = write_checkpoint(tmp_path / "checkpoint") / "vocab.txt"
    path.write_bytes(change(path.read_text(encoding="utf-8")))
    with pytest.raises(CheckpointError, match=said):
        convert(tmp_path / "checkpoint", tmp_path / "served")


def test_a_byte_order_mark_is_no_part_of_the_first_token(tmp_path):
    path = write_checkpoint(tmp_path / "checkpoint") / "vocab.txt"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    convert(tmp_path / "checkpoint", tmp_path / "served")
    assert nlp.load(tmp_path / "served", window=60).annotate(["王小明"])
