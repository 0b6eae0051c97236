"""What a grey level means, against TensorFlow's own summaries and plain arithmetic."""

import io
import json
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from deconvviz.errors import DeconvvizError
from deconvviz.render.compose import classic_rows, deconvnet_rows, enlarge, filter_grid
from deconvviz.render.scaling import saturated_share, symmetric, tf1_image_summary

PANELS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3])),
    elements=st.floats(-1e6, 1e6, width=32),
)


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return pytest.importorskip("tensorflow")


@settings(max_examples=50, deadline=None)  # the machine may be busy
@given(PANELS)
def test_symmetric_draws_zero_grey_and_the_largest_value_at_the_end(panel: Any) -> None:
    pixels, scale = symmetric(panel)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*panel.shape[:2], 3)
    assert scale == np.abs(panel).max()
    assert (pixels[np.broadcast_to(panel == 0, pixels.shape)] == 128).all()
    if scale > 0:
        assert (pixels[np.broadcast_to(panel == scale, pixels.shape)] == 255).all()
        assert (pixels[np.broadcast_to(panel == -scale, pixels.shape)] == 1).all()


@settings(max_examples=50, deadline=None)  # the machine may be busy
@given(PANELS)
def test_symmetric_is_undone_to_within_one_grey_level(panel: Any) -> None:
    pixels, scale = symmetric(panel)
    again = (pixels[..., : panel.shape[-1]].astype(np.float64) - 128) / 127 * scale
    # Truncation loses less than one level, and never upwards; the slack is float64 rounding.
    assert (panel - again >= -1e-9 * scale).all()
    assert (panel - again <= scale / 127 * (1 + 1e-9)).all()


def test_symmetric_truncates_rather_than_rounds() -> None:
    pixels, _ = symmetric(np.array([[[1.0], [0.9], [-0.1], [-1.0]]]))
    assert pixels[0, :, 0].tolist() == [255, 242, 115, 1]  # 128 + 114.3, 128 - 12.7


def test_grey_panels_become_three_equal_channels() -> None:
    pixels, _ = symmetric(np.linspace(-1, 1, 12).reshape(3, 4, 1))
    assert (pixels == pixels[..., :1]).all()


def test_a_given_scale_saturates_what_lies_beyond_it_and_the_share_is_told() -> None:
    panel = np.array([[[-3.0], [-1.0], [0.0], [0.5], [1.0], [1.1], [9.0], [1e30]]])
    pixels, scale = symmetric(panel, scale=1.0)
    assert scale == 1
    assert pixels[0, :, 0].tolist() == [1, 1, 128, 191, 255, 255, 255, 255]
    assert saturated_share(panel, 1.0) == 4 / 8


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_symmetric_refuses_what_is_not_finite(bad: float) -> None:
    panel = np.zeros((2, 2, 3))
    panel[1, 0, 2] = bad
    with pytest.raises(DeconvvizError, match="1 of the 12 values of a panel are NaN or infinite"):
        symmetric(panel)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_symmetric_refuses_a_scale_that_is_no_scale(scale: float) -> None:
    with pytest.raises(DeconvvizError, match="finite number above 0"):
        symmetric(np.ones((1, 1, 1)), scale)


@pytest.mark.parametrize("channels", [2, 4, 64])
def test_symmetric_refuses_channels_that_have_no_colour(channels: int) -> None:
    with pytest.raises(DeconvvizError, match=f"has {channels}"):
        symmetric(np.ones((1, 1, channels)))


def _random_rows(count: int = 100) -> Any:
    random = np.random.default_rng(0)
    for channels in (1, 3):
        shape = (4, 9, channels)
        for index in range(count):
            size = 10.0 ** random.uniform(-9, 6)
            row = random.normal(size=shape) * size
            if index % 4 == 1:
                row = np.abs(row)  # no negative value: TF1's other branch
            if index % 4 == 2:
                row[random.random(shape) < 0.1] = random.choice([np.nan, np.inf, -np.inf])
            if index % 4 == 3:
                row[:, :3] *= 1000  # one panel outshines the others, as a network's input does
            yield row.astype(np.float32)
        yield np.zeros(shape, np.float32)
        yield np.full(shape, np.nan, np.float32)
        yield np.full(shape, -2.5, np.float32)
        yield np.full(shape, 9.99e-7, np.float32)  # just below what TF1 takes for zero
        yield np.full(shape, 1.001e-6, np.float32)


def test_tf1_scaling_equals_tensorflow_1s_own_image_summary_bit_for_bit(tf: Any) -> None:
    graph = tf.Graph()
    with graph.as_default():
        rows = tf.compat.v1.placeholder(tf.float32, [1, None, None, None])
        summary = tf.compat.v1.summary.image("row", rows)
    kinds = set()
    with tf.compat.v1.Session(graph=graph) as session:
        for row in _random_rows():
            proto = tf.compat.v1.Summary.FromString(session.run(summary, {rows: row[None]}))
            picture = Image.open(io.BytesIO(proto.value[0].image.encoded_image_string))
            expected = np.asarray(picture).reshape(row.shape)
            np.testing.assert_array_equal(tf1_image_summary(row), expected)
            kinds.add((bool(np.nanmin(np.nan_to_num(row)) < 0), bool(np.isfinite(row).all())))
    assert len(kinds) >= 3  # both branches and the bad colour were met


def test_tensorflow_2_would_clip_a_signed_row_so_we_convert_ourselves(tf: Any) -> None:
    random = np.random.default_rng(1)
    standardised = random.normal(size=(24, 72, 3)).astype(np.float32)
    theirs = tf.image.convert_image_dtype(standardised, tf.uint8, saturate=True).numpy()
    formula = np.floor(np.clip(np.float32(255.5) * standardised, 0, 255)).astype(np.uint8)
    np.testing.assert_array_equal(theirs, formula)
    lost = np.isin(theirs, [0, 255]).mean()
    assert lost > 0.6  # every negative value and every value above 1 has become an end of the scale
    assert np.isin(symmetric(standardised)[0], [0, 1, 255]).mean() < 0.001


def _some_maps(n: int = 3, size: int = 6, layers: int = 2, channels: int = 3, seed: int = 2) -> Any:
    random = np.random.default_rng(seed)
    originals = random.integers(0, 256, (n, size, size, channels), dtype=np.uint8)
    strengths = 10.0 ** -np.arange(layers)
    maps = [random.normal(size=originals.shape).astype(np.float32) * s for s in strengths]
    return originals, maps


def test_deconvnet_rows_show_the_original_as_it_is_and_every_map_on_its_own_scale() -> None:
    originals, maps = _some_maps()
    rows = deconvnet_rows(originals, maps, ["pool1", "pool2"])
    assert rows.pixels.shape == (3, 6, 18, 3)
    np.testing.assert_array_equal(rows.pixels[:, :, :6], originals)
    for image in range(3):
        for layer, name in enumerate(["pool1", "pool2"]):
            expected, scale = symmetric(maps[layer][image])
            left = 6 * (layer + 1)
            np.testing.assert_array_equal(rows.pixels[image, :, left : left + 6], expected)
            assert rows.scales[image, layer] == scale
            assert f"{name} {scale:.3g}" in rows.caption(image)
    assert (rows.saturated == 0).all()
    assert rows.names == ("original", "pool1", "pool2")


def test_one_given_scale_makes_the_steps_of_a_run_comparable() -> None:
    originals, maps = _some_maps(n=1)
    before = deconvnet_rows(originals, maps, ["a", "b"], scales=(4.0, 0.5))
    after = deconvnet_rows(originals, [m / 2 for m in maps], ["a", "b"], scales=(4.0, 0.5))
    grey = [np.abs(r.pixels[0, :, 6:].astype(int) - 128).mean() for r in (before, after)]
    assert grey[1] == pytest.approx(grey[0] / 2, rel=0.05)  # truncation moves each by < 1 level
    assert before.description == after.description
    assert before.scales.tolist() == [[4.0, 0.5]]


def test_the_caption_owns_up_to_saturated_values() -> None:
    originals, maps = _some_maps(n=2)
    rows = deconvnet_rows(originals, maps, ["a", "b"], scales=(1.0, 100.0))
    share = np.mean(np.abs(maps[0][1]) > 1)
    assert rows.saturated[1].tolist() == [share, 0]
    assert f"a 1 ({share:.2%} of its values saturated), b 100." in rows.caption(1)


def test_a_caption_for_all_rows_gives_the_range_of_their_scales() -> None:
    originals = np.zeros((2, 1, 1, 3), np.uint8)
    maps = [np.array([0.25, 4.0]).reshape(2, 1, 1, 1) * np.ones((2, 1, 1, 3))]
    assert deconvnet_rows(originals, maps, ["p"]).caption().endswith("Scale: p 0.25 to 4.")


def test_descriptions_name_panels_rules_start_signal_and_scaling() -> None:
    originals, maps = _some_maps()
    ours = deconvnet_rows(originals, maps, ["p", "q"], rules="guided", start="one unit, value 1")
    assert ours.description.startswith("original | p | q. Rules: guided. Start signal: one unit")
    assert "its own largest |value|; zero is grey (128)" in ours.description
    assert "Nie et al. 2018" in ours.description
    fixed = deconvnet_rows(originals, maps, ["p", "q"], scales=(1, 1))
    assert "one scale for all images and steps" in fixed.description
    classic = classic_rows(originals.astype(np.float32), maps, ["p", "q"])
    assert "bias subtracted, no rectification" in classic.description
    assert "Each row, the network's input included, has one scale" in classic.description


def test_a_record_is_plain_json_and_keeps_every_scale() -> None:
    originals, maps = _some_maps()
    rows = deconvnet_rows(originals, maps, ["p", "q"])
    read = json.loads(json.dumps(rows.record(1), allow_nan=False))
    assert read["scales"] == dict(zip("pq", rows.scales[1], strict=True))
    assert read["saturated"] == {"p": 0, "q": 0}
    assert read["panels"] == ["original", "p", "q"]
    assert rows.record()["scales"]["q"] == rows.scales[:, 1].tolist()


def test_maps_that_are_not_finite_are_refused_by_their_layers_name() -> None:
    originals, maps = _some_maps()
    maps[1][2, 0, 0, 0] = np.nan
    with pytest.raises(DeconvvizError, match="1 of the 324 values of the map of pool2"):
        deconvnet_rows(originals, maps, ["pool1", "pool2"])


def test_rows_refuse_what_does_not_fit_together() -> None:
    originals, maps = _some_maps()
    with pytest.raises(DeconvvizError, match="do not fit"):
        deconvnet_rows(originals, [maps[0], maps[1][:, :, :3]], ["p", "q"])
    with pytest.raises(DeconvvizError, match="one map a name"):
        deconvnet_rows(originals, maps, ["p"])
    with pytest.raises(DeconvvizError, match="uint8"):
        deconvnet_rows(originals / 255, maps, ["p", "q"])
    wide = np.zeros((1, 2, 2, 5), np.uint8)
    with pytest.raises(DeconvvizError, match="has 5"):
        classic_rows(wide, [wide], ["p"])


@pytest.mark.parametrize("channels", [1, 3])
def test_classic_rows_put_input_and_maps_on_one_scale(channels: int) -> None:
    originals, maps = _some_maps(channels=channels)
    inputs = (originals / 128.0 - 1).astype(np.float32) * 50
    rows = classic_rows(inputs, maps, ["p", "q"])
    stitched = np.concatenate([inputs, *maps], axis=2)
    for image, row in enumerate(stitched):
        expected = np.broadcast_to(tf1_image_summary(row), (*row.shape[:2], 3))
        np.testing.assert_array_equal(rows.pixels[image], expected)
        assert rows.scales[image].tolist() == [np.abs(row).max()] * 2
        assert rows.caption(image).endswith(f"Scale: the row {np.abs(row).max():.3g}.")
    # maps fifty times weaker than the input keep few levels: the price of one scale
    assert np.abs(rows.pixels[:, :, 12:].astype(int) - 128).max() <= 2


def test_classic_rows_draw_what_is_not_finite_in_red() -> None:
    inputs = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 2, 2, 3)
    broken = inputs.copy()
    broken[0, 1, 1, 0] = np.inf
    assert classic_rows(inputs, [broken], ["p"]).pixels[0, 1, 3].tolist() == [255, 0, 0]


@pytest.mark.parametrize(("count", "shape"), [(64, (47, 47)), (10, (17, 23)), (1, (5, 5))])
def test_a_filter_grid_is_squarish_with_gaps_of_one_pixel(count: int, shape: Any) -> None:
    kernels = np.random.default_rng(3).normal(size=(5, 5, 3, count))
    assert filter_grid(kernels).pixels.shape == (*shape, 3)


def test_a_filter_grid_has_one_scale_so_that_a_dead_filter_is_grey() -> None:
    kernels = np.random.default_rng(4).normal(size=(2, 3, 3, 5))
    kernels[..., 3] = 0
    kernels[..., 4] *= 100
    grid = filter_grid(kernels)
    assert grid.scale == np.abs(kernels).max()
    for index in range(5):
        top, left = index // 3 * 3, index % 3 * 4
        tile = grid.pixels[top : top + 2, left : left + 3]
        expected = np.trunc(128 + 127 * kernels[..., index] / grid.scale)
        np.testing.assert_array_equal(tile, expected)
    assert (grid.pixels[:2, 3] == 255).all()
    assert (grid.pixels[3:, 8:] == 255).all()  # the sixth place is empty
    assert (grid.pixels[3:5, :3] == 128).all()
    assert f"{grid.scale:.3g}" in grid.caption


def test_grey_filters_are_drawn_and_deeper_ones_refused() -> None:
    assert (filter_grid(np.zeros((3, 3, 1, 4))).pixels[:3, :3] == 128).all()
    with pytest.raises(DeconvvizError, match="has 64"):
        filter_grid(np.zeros((5, 5, 64, 10)))
    with pytest.raises(DeconvvizError, match="NaN"):
        filter_grid(np.full((1, 1, 3, 1), np.nan))


@settings(max_examples=50, deadline=None)  # the machine may be busy
@given(hnp.arrays(np.uint8, (2, 3, 4, 3)), st.integers(1, 4))
def test_enlarging_repeats_pixels_and_nothing_else(pixels: Any, factor: int) -> None:
    large = enlarge(pixels, factor)
    assert large.shape == (2, 3 * factor, 4 * factor, 3)
    np.testing.assert_array_equal(large[:, ::factor, ::factor], pixels)
    np.testing.assert_array_equal(large[0], np.kron(pixels[0], np.ones((factor, factor, 1))))
