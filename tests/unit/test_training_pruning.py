"""A smaller encoder cut out of a trained one. Needs no torch."""

import numpy as np
import pytest

from nlp.errors import TrainingError
from nlp.training.pruning import WORDS, with_channels, with_layers, with_neurons


def test_the_layers_that_are_kept_are_numbered_anew():
    tensors = {f"encoder.encoder.layer.{i}.x": np.full(1, i) for i in range(11)} | {"linear.weight": np.zeros(1)}
    kept = with_layers(tensors, (1, 10), of=11)
    assert {name: values.tolist() for name, values in kept.items()} == {
        "encoder.encoder.layer.0.x": [1],
        "encoder.encoder.layer.1.x": [10],
        "linear.weight": [0],
    }
    with pytest.raises(TrainingError, match="layers names 11; the encoder has 0 to 10"):
        with_layers(tensors, (0, 11), of=11)


def test_the_strongest_neurons_are_kept_with_all_that_is_theirs():
    layer = "encoder.encoder.layer.0"
    into, out = np.array([[3.0, 4], [0, 1], [0, 2]]), np.array([[1.0, 9, 0], [0, 0, 3]])  # strengths 5, 9 and 6
    tensors = {
        f"{layer}.intermediate.dense.weight": into,
        f"{layer}.intermediate.dense.bias": np.array([0.0, 1, 2]),
        f"{layer}.output.dense.weight": out,
    }
    kept = with_neurons(tensors, 1, 2)
    assert kept[f"{layer}.intermediate.dense.weight"].tolist() == [[0, 1], [0, 2]]
    assert kept[f"{layer}.intermediate.dense.bias"].tolist() == [1, 2]
    assert kept[f"{layer}.output.dense.weight"].tolist() == [[9, 0], [0, 3]]
    with pytest.raises(TrainingError, match="intermediate is 4; the encoder has 3 neurons a layer"):
        with_neurons(tensors, 1, 4)


def test_the_channels_that_embeddings_spread_most_are_kept_and_as_many_heads_as_they_hold():
    hidden, layer = 4, "encoder.encoder.layer.0"
    attention = f"{layer}.attention"
    of_heads = np.repeat([1.0, 3], 2)  # the second head's weights are the larger ones
    numbered = np.arange(hidden * 10.0).reshape(hidden, 10)
    tensors = {
        WORDS: np.array([[0.0, 1, 0, 5], [0.0, 3, 1, 9]]),  # channels 1 and 3
        "encoder.embeddings.LayerNorm.weight": np.arange(4.0),
        **{f"{attention}.self.{name}.weight": np.eye(4) * of_heads[:, None] for name in ("query", "key", "value")},
        **{f"{attention}.self.{name}.bias": np.arange(4.0) for name in ("query", "key", "value")},
        f"{attention}.output.dense.weight": np.eye(4) * of_heads,
        f"{layer}.intermediate.dense.weight": numbered.T,
        f"{layer}.intermediate.dense.bias": np.arange(10.0),
        f"{layer}.output.dense.weight": numbered,
        "linear.weight": np.array([[0.0, 1, 2, 3]]),
        "linear.bias": np.array([7.0]),
        "crf.transitions": np.eye(5),
    }
    kept = with_channels(tensors, 1, 2, 2)
    assert kept[WORDS].tolist() == [[1, 5], [3, 9]]
    assert kept["encoder.embeddings.LayerNorm.weight"].tolist() == [1, 3]
    for name in ("query", "key", "value"):
        assert kept[f"{attention}.self.{name}.weight"].tolist() == [[0, 0], [0, 3]]  # rows 2 and 3, channels 1 and 3
        assert kept[f"{attention}.self.{name}.bias"].tolist() == [2, 3]
    assert kept[f"{attention}.output.dense.weight"].tolist() == [[0, 0], [0, 3]]
    assert kept[f"{layer}.intermediate.dense.weight"].tolist() == numbered.T[:, [1, 3]].tolist()
    assert kept[f"{layer}.output.dense.weight"].tolist() == numbered[[1, 3]].tolist()
    assert kept["linear.weight"].tolist() == [[1, 3]]
    for name in ("linear.bias", "crf.transitions", f"{layer}.intermediate.dense.bias"):
        assert kept[name] is tensors[name]
    with pytest.raises(TrainingError, match="hidden is 3; expected a multiple of 2, the size of a head, up to 4"):
        with_channels(tensors, 1, 2, 3)
