"""Every number that the worked examples print, computed again in numpy loops."""

import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
from click.testing import CliRunner

from deconvviz.cli.demo import demo

ONES = np.ones((4, 4))
KERNEL = np.array([[1, 0], [-1, -2]])


def run(name: str) -> str:
    result = CliRunner().invoke(demo, [name])
    assert result.exit_code == 0, result.output
    return result.output


def matrices(output: str) -> list[np.ndarray]:
    blocks = re.findall(r"(?:^ {4,}-?\d.*\n)+", output, flags=re.MULTILINE)
    return [np.array([line.split() for line in block.splitlines()], float) for block in blocks]


def sentences(output: str) -> str:
    return " ".join(line for line in output.splitlines() if not line.startswith("    "))


def assert_printed(output: str, *expected: np.ndarray) -> None:
    printed = matrices(output)
    assert [matrix.tolist() for matrix in printed] == [
        np.atleast_2d(matrix).tolist() for matrix in expected
    ]


def windows(stride: int, same: bool) -> list[list[tuple[int, int]]]:
    # SAME at stride 1 pads one pixel for a window of 2, and TensorFlow puts it at the far end.
    places = range(0, 4 if same and stride == 1 else 3, stride)
    return [[(y, x) for x in places] for y in places]


def convolve(image: np.ndarray, stride: int = 2, same: bool = False) -> np.ndarray:
    padded = np.pad(image, ((0, 1), (0, 1)))
    return np.array(
        [
            [(padded[y : y + 2, x : x + 2] * KERNEL).sum() for y, x in row]
            for row in windows(stride, same)
        ]
    )


def transpose(signal: np.ndarray, stride: int = 2, same: bool = False) -> np.ndarray:
    padded = np.zeros((5, 5))
    for values, row in zip(signal, windows(stride, same), strict=True):
        for value, (y, x) in zip(values, row, strict=True):
            padded[y : y + 2, x : x + 2] += value * KERNEL
    return padded[:4, :4]


def slope(function: Callable[[float], float], at: float) -> float:
    return (function(at + 1e-4) - function(at - 1e-4)) / 2e-4


def test_conv_transpose_prints_what_numpy_computes() -> None:
    output = run("conv-transpose")
    conv = convolve(ONES)
    other = np.zeros((4, 4))
    other[::2, ::2] = -2
    valid, same = convolve(ONES, 1), convolve(ONES, 1, same=True)
    assert_printed(
        output,
        ONES,
        KERNEL,
        conv,
        transpose(conv),
        other,
        convolve(other),
        conv,
        transpose(conv),
        valid,
        transpose(valid, 1),
        same,
        transpose(same, 1, same=True),
    )
    assert f"{(conv * conv).sum():g} = {(ONES * transpose(conv)).sum():g}" in sentences(output)


def test_the_other_image_is_another_with_the_same_convolution() -> None:
    ones, _, conv, _, other, other_conv, *_ = matrices(run("conv-transpose"))
    assert not np.array_equal(ones, other)
    assert np.array_equal(conv, other_conv)


def test_unpool_prints_what_numpy_computes() -> None:
    output = run("unpool")
    image = matrices(output)[0]
    pooled, switches, back = np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((4, 4))
    for y, x in np.ndindex(2, 2):
        window = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        row, column = np.argwhere(window == window.max())[0] + (2 * y, 2 * x)
        pooled[y, x] = back[row, column] = window.max()
        switches[y, x] = 4 * row + column
    assert_printed(output, image, pooled, switches, back, pooled)
    assert f"{pooled.sum():g} of the image's sum of {image.sum():g}" in sentences(output)


def test_gradient_prints_what_difference_quotients_give() -> None:
    output = run("gradient")
    x, weights = np.array([1.0, 2.0, 3.0]), np.array([1, 10, 0])
    slopes = np.array([round(slope(lambda v: v**2, at), 6) for at in x])
    conv = convolve(ONES)
    assert_printed(output, x, x**2, slopes, weights * slopes, conv, transpose(conv))
    dw = slope(lambda w: (w * 3 + 2 - 5) ** 2, 2)
    db = slope(lambda b: (2 * 3 + b - 5) ** 2, 2)
    text = sentences(output)
    assert f"loss = {(2 * 3 + 2 - 5) ** 2}, d loss / dw = 2 * 3 * 3 = {dw:g}," in text
    assert f"d loss / db = 2 * 3 = {db:g}" in text


def test_stop_gradient_prints_what_difference_quotients_give() -> None:
    text = sentences(run("stop-gradient"))
    whole, cut = slope(lambda x: x**3, 4), slope(lambda x: x * x * 4, 4)
    assert f"As it is: y = {4**3}, dy/dx = 3 * x * x = {whole:g}" in text
    assert f"Stopped: y = {4**3}, dy/dx = 2 * x * 4 = {cut:g}" in " ".join(text.split())
    second = slope(lambda v: v * (2 * 3), 5)
    assert f"output = {5 * (2 * 3)}, d output / d second = {second:g}," in text
    assert "d output / d first = None" in text


def test_without_a_name_the_examples_are_listed() -> None:
    result = CliRunner().invoke(demo, [])
    assert result.exit_code == 0
    for name in ("conv-transpose", "unpool", "gradient", "stop-gradient"):
        assert name in result.output


def test_tensorflow_says_nothing_beside_an_example() -> None:
    code = (
        "from deconvviz.cli.demo import demo\n"
        "for name in ('conv-transpose', 'unpool'): demo([name], standalone_mode=False)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stderr == "Loading TensorFlow\n"
