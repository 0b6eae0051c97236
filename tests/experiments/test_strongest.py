"""The miner against a naive reference, and its promises: ties, shards, streams, stop and resume."""

import itertools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import deconvviz
from deconvviz.errors import DataError, DeconvvizError
from deconvviz.experiments import strongest
from deconvviz.experiments.strongest import strongest_activations
from deconvviz.experiments.top import (
    TopActivations,
    jaccard_by_chance,
    near_duplicates,
    nothing_yet,
    selectivity,
)

FIELDS = ("value", "image", "y", "x")


def naive(activation: np.ndarray, k: int, first: int = 0) -> dict[str, np.ndarray]:
    """All units of an image are sorted, then all images: nothing is clever here."""
    n, features = len(activation), activation.shape[-1]
    flat = activation.ndim == 2
    if flat:
        activation = activation[:, None, None]
    found: dict[str, list[list[Any]]] = {name: [] for name in FIELDS}
    for feature in range(features):
        units = []
        for image in range(n):
            plane = activation[image, ..., feature]
            y, x = np.mgrid[: plane.shape[0], : plane.shape[1]].reshape(2, -1)
            best = np.lexsort((x, y, -plane.ravel()))[0]
            place = (-1, -1) if flat else (y[best], x[best])
            units.append((plane.ravel()[best], first + image, *place))
        value, image_, y, x = (np.array(part) for part in zip(*units, strict=True))
        order = np.lexsort((x, y, image_, -value))[:k]
        lacking = max(k - n, 0)
        for name, part, absent in zip(
            FIELDS, (value, image_, y, x), (-np.inf, -1, -1, -1), strict=True
        ):
            found[name].append([*part[order], *[absent] * lacking])
    return {name: np.array(part) for name, part in found.items()}


def assert_same(top: TopActivations, expected: Any) -> None:
    for name in FIELDS:
        wanted = expected[name] if isinstance(expected, dict) else getattr(expected, name)
        np.testing.assert_array_equal(getattr(top, name), wanted, err_msg=name)


@pytest.fixture(scope="module")
def mirror() -> Any:
    """A network whose layer "maps" is its input, so that activations are made by hand."""
    import keras

    images = keras.Input((4, 3, 5))
    eye = keras.layers.Conv2D(5, 1, use_bias=False, name="maps")
    x = eye(images)
    eye.set_weights([np.eye(5, dtype=np.float32)[None, None]])
    sums = keras.layers.Dense(2, name="sums", use_bias=False, kernel_initializer="ones")
    return deconvviz.Deconvnet(keras.Model(images, sums(keras.layers.Flatten(name="flat")(x))))


@pytest.fixture(scope="module")
def tied() -> np.ndarray:
    """So few different values that nearly everything is tied; map 3 never rises above 0."""
    images = np.random.default_rng(1).integers(-2, 4, (300, 4, 3, 5)).astype(np.float32)
    images[..., 3] = np.minimum(images[..., 3], 0)
    images[::7, ..., 1] += 1  # so that winners come late, too
    return images


@pytest.mark.parametrize(("k", "n"), [(9, 300), (1, 300), (300, 300), (9, 4)])
def test_it_finds_what_sorting_everything_finds_ties_included(
    k: int, n: int, mirror: Any, tied: np.ndarray
) -> None:
    top = strongest_activations(mirror, tied[:n], "maps", k)
    assert_same(top, naive(tied[:n], k))
    assert (top.layer, top.images) == ("maps", n)
    assert [top.value.dtype, top.image.dtype, top.y.dtype] == [np.float32, np.int64, np.int32]
    np.testing.assert_array_equal(top.dead, [False, False, False, True, False])


@pytest.mark.parametrize("name", ["classic", "strided", "overlap", "dense", "residual"])
def test_it_equals_the_whole_activations_sorted_on_every_layer_of_real_networks(
    name: str, zoo: Any
) -> None:
    member = zoo(name, images=9)
    net = deconvviz.Deconvnet(member.model)
    found = strongest_activations(net, member.images, member.targets, 4)
    assert list(found) == list(member.targets)
    for layer, top in found.items():
        activation = net.activation(member.images, layer)
        if activation.ndim in (2, 4):
            expected = naive(activation, 4)
            for field in ("image", "y", "x"):
                np.testing.assert_array_equal(getattr(top, field), expected[field])
            # One forward pass for all layers may round otherwise than one for each.
            np.testing.assert_allclose(top.value, expected["value"], rtol=1e-5)


def test_a_layer_without_spatial_axes_has_no_places(mirror: Any, tied: np.ndarray) -> None:
    top = strongest_activations(mirror, tied, "sums", 3)
    # Small whole numbers add up exactly in any order.
    assert_same(top, naive(np.repeat(tied.sum(axis=(1, 2, 3))[:, None], 2, axis=1), 3))
    assert (top.y == -1).all()


def test_shards_merge_to_the_same_answer_in_any_order(mirror: Any, tied: np.ndarray) -> None:
    whole = strongest_activations(mirror, tied, "maps", 9)
    cuts = [0, 3, 150, 151, 300]  # shards smaller than k, too
    shards = [
        strongest_activations(mirror, tied[a:b], "maps", 9, first=a)
        for a, b in itertools.pairwise(cuts)
    ]
    for order in itertools.permutations(shards):
        merged = nothing_yet("maps", 5, 9)
        for shard in order:
            merged = merged.merged(shard)
        assert_same(merged, whole)
        assert merged.images == 300
    one, two, three, four = shards
    assert_same(four.merged(two).merged(three.merged(one)), whole)


def test_shards_that_overlap_or_differ_are_refused(mirror: Any, tied: np.ndarray) -> None:
    top = strongest_activations(mirror, tied[:20], "maps", 9)
    with pytest.raises(DataError, match=r"hold image 0: .*first="):
        top.merged(strongest_activations(mirror, tied[20:], "maps", 9))
    for other in (nothing_yet("maps", 5, 8), nothing_yet("sums", 5, 9)):
        with pytest.raises(DeconvvizError, match=r"one layer"):
            top.merged(other)


@pytest.mark.parametrize("batch", [1, 7, 128, 500])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_stream_of_batches_gives_what_the_array_gives(
    batch: int, labelled: bool, mirror: Any, tied: np.ndarray
) -> None:
    parts = (tied[:130], np.arange(130)) if labelled else tied[:130]
    stream = tf.data.Dataset.from_tensor_slices(parts).batch(batch)
    both = strongest_activations(mirror, stream, ["maps", "sums"], 9)
    assert_same(both["maps"], strongest_activations(mirror, tied[:130], "maps", 9))
    assert_same(both["sums"], strongest_activations(mirror, tied[:130], "sums", 9))


@pytest.mark.parametrize("form", ["arrays", "stream", "labelled"])
def test_a_model_of_several_inputs_is_looked_through(form: str, zoo: Any) -> None:
    member = zoo("two_inputs", images=5)
    net = deconvviz.Deconvnet(member.model)
    images: Any = member.images
    if form != "arrays":
        parts = images if form == "stream" else (images, np.arange(5))
        images = tf.data.Dataset.from_tensor_slices(parts).batch(2)
    top = strongest_activations(net, images, "conv2", 3)
    expected = naive(net.activation(member.images, "conv2"), 3)
    np.testing.assert_array_equal(top.image, expected["image"])
    np.testing.assert_allclose(top.value, expected["value"], rtol=1e-5)


def test_what_cannot_be_looked_through_is_refused_in_words(mirror: Any, tied: np.ndarray) -> None:
    endless = tf.data.Dataset.from_tensor_slices(tied).batch(4).repeat()
    broken = tied.copy()
    broken[200, 0, 0, 0] = np.nan
    for images, layer, k, words in (
        (endless, "maps", 9, "no end"),
        (tied[:0], "maps", 9, "no image"),
        (tied[0], "maps", 9, r"takes images of shape"),
        (3.0, "maps", 9, r"takes images of shape"),
        ((tied, tied[:3]), "maps", 9, r"same number"),
        (broken, "maps", 9, "not finite"),
        (tied, "mops", 9, "maps"),
        (tied, "maps", 0, "k takes a whole number, 1 or more; received 0"),
        (tied, (), 9, "No layer is named"),
    ):
        with pytest.raises(DeconvvizError, match=words):
            strongest_activations(mirror, images, layer, k)


def test_progress_counts_the_images(mirror: Any, tied: np.ndarray) -> None:
    counts: list[int] = []
    strongest_activations(mirror, tied, "maps", progress=counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 300


class Stop(BaseException):
    """As Ctrl-C is: no Exception."""


def stop_at(images: int) -> Any:
    def progress(done: int) -> None:
        if done >= images:
            raise Stop

    return progress


@pytest.mark.parametrize("streamed", [False, True])
def test_a_stopped_call_goes_on_where_it_stopped(
    streamed: bool, mirror: Any, tied: np.ndarray, tmp_path: Path
) -> None:
    whole = strongest_activations(mirror, tied, ["maps", "sums"], 9)
    images: Any = tf.data.Dataset.from_tensor_slices(tied).batch(60) if streamed else tied
    keep = tmp_path / "found" / "so-far.npz"
    with pytest.raises(Stop):
        strongest_activations(mirror, images, ["maps", "sums"], 9, keep=keep, progress=stop_at(120))
    counts: list[int] = []
    again = strongest_activations(
        mirror, images, ["maps", "sums"], 9, keep=keep, progress=counts.append
    )
    assert counts[0] > 120, "it began anew"
    for layer, top in again.items():
        assert_same(top, whole[layer])
        assert top.images == 300
    # A call that is done looks at nothing again, and more images go on from there.
    done = strongest_activations(
        mirror, images, ["maps", "sums"], 9, keep=keep, progress=stop_at(0)
    )
    assert_same(done["maps"], whole["maps"])


def test_it_is_kept_every_so_often(
    mirror: Any, tied: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strongest, "_SAVE_EVERY", 0.0)
    keep, sizes = tmp_path / "kept.npz", []
    strongest_activations(
        mirror, tied, "maps", keep=keep, progress=lambda _: sizes.append(keep.exists())
    )
    assert sizes == [False, True, True]  # before the first batch was kept, and after


def test_what_was_kept_of_something_else_is_refused(
    mirror: Any, tied: np.ndarray, tmp_path: Path
) -> None:
    import keras

    keep = tmp_path / "kept.npz"
    strongest_activations(mirror, tied[:50], "maps", 9, keep=keep)
    before = keep.read_bytes()
    other = deconvviz.Deconvnet(keras.models.clone_model(mirror.model))
    changed = tied.copy()
    changed[10] += 1
    for net, images, layer, k, words in (
        (mirror, changed, "maps", 9, "other images"),
        (mirror, tied[:49], "maps", 9, "other images"),
        (mirror, tied, "sums", 9, "other layers"),
        (mirror, tied, "maps", 8, "other k"),
        (other, tied, "maps", 9, "other weights"),
    ):
        with pytest.raises(DataError, match=words):
            strongest_activations(net, images, layer, k, keep=keep)
        assert keep.read_bytes() == before
    for content in (b"text", before[:200], b""):
        keep.write_bytes(content)
        with pytest.raises(DataError, match=r"Remove it"):
            strongest_activations(mirror, tied, "maps", 9, keep=keep)


def record(value: Any, image: Any) -> TopActivations:
    places = np.zeros_like(image, np.int32)
    return TopActivations("maps", 50, np.array(value, np.float32), np.array(image), places, places)


def test_near_duplicates_are_maps_that_the_same_images_won() -> None:
    top = record(
        [[5, 4, 3], [9, 8, 7], [5, 4, 3], [0, 0, 0], [2, 0, -1], [0, 0, 0]],
        [[0, 1, 2], [2, 0, 1], [1, 2, 3], [0, 1, 2], [3, 0, 1], [0, 1, 2]],
    )
    # Map 4 has one winner, image 3; maps 3 and 5 are dead.
    assert near_duplicates(top, 0.5) == ((0, 1, 1.0), (0, 2, 0.5), (1, 2, 0.5))
    third = pytest.approx(1 / 3)
    assert near_duplicates(top, 0.3) == (*near_duplicates(top, 0.5), (2, 4, third))


def test_selectivity_is_the_share_of_the_commonest_class_among_winners() -> None:
    labels = ("cat", "dog", "cat", "ship")
    top = record([[5, 4, 3], [5, 4, 0], [0, 0, 0]], [[1, 0, 2], [3, 1, 0], [0, 1, 2]])
    cats, tied, dead = selectivity(top, labels)
    assert cats is not None
    assert (cats.label, cats.count, cats.winners, cats.share) == ("cat", 2, 3, 2 / 3)
    assert tied is not None
    assert (tied.label, tied.share) == ("ship", 0.5)  # of equally common ones the stronger's
    assert dead is None


def test_winners_shared_by_chance_are_told() -> None:
    assert jaccard_by_chance(9, 9) == 1
    # Two blind draws of 10 of 100 share 1 image on average, of 19.
    assert jaccard_by_chance(10, 100) == pytest.approx(1 / 19)


def test_a_data_set_as_tfds_gives_it_is_taken_and_others_are_refused_in_words() -> None:
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 1, name="conv")])
    net, images = deconvviz.Deconvnet(model), np.random.default_rng(3).normal(size=(5, 4, 4, 3))
    x = images.astype(np.float32)

    def given(arrays: Any) -> Any:
        data = tf.data.Dataset.from_tensor_slices(arrays).batch(2)
        return deconvviz.strongest_activations(net, data, layer="conv", k=2)

    right = deconvviz.strongest_activations(net, x, layer="conv", k=2)
    labels = np.arange(5)
    for arrays in ({"image": x, "label": labels}, ({"image": x}, labels), (x, labels)):
        np.testing.assert_array_equal(given(arrays).image, right.image)
    with pytest.raises(deconvviz.DataError, match=r"a dict of 'photo', 'label'"):
        given({"photo": x, "label": labels})
    single = tf.data.Dataset.from_tensor_slices({"image": x, "label": labels})
    with pytest.raises(deconvviz.DataError, match=r"dataset.batch\(128\)"):
        deconvviz.strongest_activations(net, single, layer="conv", k=2)
