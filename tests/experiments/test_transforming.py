"""Moving, enlarging and turning images, against the same by slicing and by algebra."""

import numpy as np
import pytest

from deconvviz.experiments.transforming import Kind, papers_transformations, transformed

FILL = (0.5, -1.0, 2.0)
FILLED = np.array(FILL, np.float32)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 9, 7, 3)).astype(np.float32)


def ramp(height: int, width: int) -> np.ndarray:
    """Give 3y + 2x about the middle: a plane, which bilinear interpolation does not bend."""
    y, x = np.mgrid[:height, :width] - np.array([height - 1, width - 1])[:, None, None] / 2
    return np.repeat((3 * y + 2 * x)[None, ..., None], 3, axis=3).astype(np.float32)


def test_a_translation_moves_rows_down_and_fills_what_comes_in(images: np.ndarray) -> None:
    moved = transformed(images, "vertical translation", 2, FILL)
    np.testing.assert_array_equal(moved[:, 2:], images[:, :-2])
    np.testing.assert_array_equal(moved[:, :2], np.broadcast_to(FILLED, (2, 2, 7, 3)))
    up = transformed(images, "vertical translation", -3, FILL)
    np.testing.assert_array_equal(up[:, :-3], images[:, 3:])
    np.testing.assert_array_equal(up[:, -3:], np.broadcast_to(FILLED, (2, 3, 7, 3)))
    for far in (9, -9, 40, -40):
        gone = transformed(images, "vertical translation", far, FILL)
        np.testing.assert_array_equal(gone, np.broadcast_to(FILLED, images.shape))


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("vertical translation", 0), ("scale", 1), ("rotation", 0), ("rotation", 360)],
)
def test_what_is_left_alone_is_the_same_to_the_last_bit(
    kind: Kind, amount: float, images: np.ndarray
) -> None:
    np.testing.assert_array_equal(transformed(images, kind, amount, FILL), images)


def test_quarter_turns_are_counterclockwise_and_resample_nothing(images: np.ndarray) -> None:
    square = images[:, :7]
    once = transformed(square, "rotation", 90, FILL)
    # What was on the right is on top, and the top's left end comes from the right's upper end.
    np.testing.assert_array_equal(once[:, 0], square[:, :, -1])
    np.testing.assert_array_equal(once, transformed(square, "rotation", -270, FILL))
    np.testing.assert_array_equal(transformed(images, "rotation", 180, FILL), images[:, ::-1, ::-1])


def test_other_angles_turn_the_same_way_as_quarter_turns() -> None:
    square = ramp(9, 9)
    almost = transformed(square, "rotation", 89.999, FILL)
    # Only the outermost pixels may take in something of the fill.
    quarter = transformed(square, "rotation", 90, FILL)
    np.testing.assert_allclose(almost[:, 1:-1, 1:-1], quarter[:, 1:-1, 1:-1], atol=1e-2)


@pytest.mark.parametrize("angle", [30.0, 200.0])
def test_a_rotation_turns_a_plane_by_its_angle(angle: float) -> None:
    turned = transformed(ramp(21, 21), "rotation", angle, FILL)[0, ..., 0]
    y, x = np.mgrid[:21, :21] - 10.0
    theta = np.deg2rad(angle)
    # Counterclockwise with y pointing down: what stands at (y, x) came from the place turned back.
    expected = 3 * (np.cos(theta) * y + np.sin(theta) * x) + 2 * (
        np.cos(theta) * x - np.sin(theta) * y
    )
    inside = np.hypot(y, x) < 9.5
    np.testing.assert_allclose(turned[inside], expected[inside], atol=1e-4)


def test_scaling_enlarges_about_the_middle_bilinearly() -> None:
    plane = ramp(9, 7)
    np.testing.assert_allclose(transformed(plane, "scale", 1.8, FILL), plane / 1.8, atol=1e-5)


def test_what_comes_in_from_outside_is_the_fill(images: np.ndarray) -> None:
    turned = transformed(np.zeros_like(images[:, :7]), "rotation", 45, FILL)
    np.testing.assert_allclose(turned[:, 0, 0], np.broadcast_to(FILLED, (2, 3)))
    assert (turned[:, 3, 3] == 0).all()


def test_a_quarter_turn_of_an_oblong_image_keeps_its_shape(images: np.ndarray) -> None:
    assert transformed(images, "rotation", 90, FILL).shape == images.shape


def test_the_papers_ranges_shrink_with_the_images() -> None:
    down, scale, turn = papers_transformations(224)
    assert (down.amounts[0], down.amounts[-1], len(down.amounts)) == (-60, 60, 25)
    assert (scale.amounts[0], scale.amounts[-1]) == (1, 1.8)
    assert turn.amounts == tuple(range(0, 351, 10))
    small, *_ = papers_transformations(24)  # 24 * 60 / 224 = 6.4
    assert small.amounts == tuple(range(-6, 7))
    for height in (1, 3, 24, 32, 96, 224, 299, 500):
        one, *_ = papers_transformations(height)
        assert 0 in one.amounts
        assert all(amount == round(amount) for amount in one.amounts)
        assert max(one.amounts) == -min(one.amounts) <= max(1, round(height * 60 / 224))
