"""Small worked examples of the steps that a reconstruction is made of, with all their numbers.

Each command takes one operation of the way back to pixels, runs it on matrices that can be checked
by hand, and says what comes back and what is lost. They print and keep nothing.
"""

import click
import numpy as np
from numpy.typing import ArrayLike

from deconvviz.cli.commands import Suggesting
from deconvviz.cli.quiet import import_tensorflow

ONES = np.ones((4, 4), np.float32)
KERNEL = np.array([[1, 0], [-1, -2]], np.float32)


@click.group(cls=Suggesting, invoke_without_command=True)
@click.pass_context
def demo(context: click.Context) -> None:
    """Small worked examples, with their numbers."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@demo.command("conv-transpose")
def conv_transpose() -> None:
    """What conv2d_transpose brings back, and what not."""
    import_tensorflow()
    _show("A 4x4 image of ones:", ONES)
    _show("A 2x2 kernel:", KERNEL)
    conv = _convolve(ONES, 2, "VALID")
    _show("conv2d, stride 2, VALID. Each of the four windows gives 1 + 0 - 1 - 2:", conv)
    back = _transpose(conv, 2, "VALID")
    _show("conv2d_transpose of that. Each number lays a copy of the kernel, times itself:", back)
    _say(
        "These are not the ones. Four numbers were kept of sixteen, and many images give the same "
        "four; the transpose spreads each number over its window in the kernel's proportions, so "
        "where the kernel holds 0, nothing returns."
    )
    other = np.kron(np.ones((2, 2)), [[-2, 0], [0, 0]]).astype(np.float32)
    _show("Another image that the convolution cannot tell from the ones:", other)
    _show("Its conv2d:", _convolve(other, 2, "VALID"))
    _say(
        "What the transpose does promise: sum(conv(x) * y) = sum(x * transpose(y)) for every x "
        f"and y. The ones as x, their convolution as y: {_dot(conv, conv)} = {_dot(ONES, back)}."
    )
    _same_padding()


def _same_padding() -> None:
    conv = _convolve(ONES, 2, "SAME")
    _show("conv2d, stride 2, SAME:", conv)
    _show("conv2d_transpose of that:", _transpose(conv, 2, "SAME"))
    _say(
        "The same numbers as VALID: windows of 2 at stride 2 fill 4 pixels exactly, and SAME has "
        "nothing to pad. At stride 1 they differ."
    )
    conv = _convolve(ONES, 1, "VALID")
    _show("conv2d, stride 1, VALID. Only windows that lie inside the image:", conv)
    _show("conv2d_transpose of that:", _transpose(conv, 1, "VALID"))
    conv = _convolve(ONES, 1, "SAME")
    _show("conv2d, stride 1, SAME. A row of zeros below and a column at the right join in:", conv)
    _show("conv2d_transpose of that, the padding cut off again:", _transpose(conv, 1, "SAME"))


@demo.command()
def unpool() -> None:
    """What pooling keeps, and its switches put back."""
    import_tensorflow()
    from deconvviz.deconv import switches as pooling

    image = np.array([[1, 8, 3, 2], [5, 4, 9, 0], [7, 2, 6, 1], [3, 0, 4, 12]], np.float32)
    pooled, switches = pooling.max_pool_with_switches(image[None, ..., None], (2, 2), (2, 2))
    back = pooling.unpool(pooled, switches, (4, 4))
    again, _ = pooling.max_pool_with_switches(back, (2, 2), (2, 2))
    _show("A 4x4 image:", image)
    _show("Max pooling, windows of 2x2 at stride 2, keeps the largest of each:", _plane(pooled))
    _show(
        "The switches, where each of them stood, counted along the rows from 0:", _plane(switches)
    )
    _say("A switch s lies in row s // 4, column s % 4.")
    _show("Unpooling puts every number at its switch, and zeros elsewhere:", _plane(back))
    _say(
        f"In place and in value the largest numbers are back: {_plane(back).sum():g} of the "
        f"image's sum of {image.sum():g}. The other twelve pixels are gone for good."
    )
    _show("Pooling that once more gives what was pooled before:", _plane(again))


@demo.command()
def gradient() -> None:
    """What tf.GradientTape computes."""
    import_tensorflow()
    import tensorflow as tf

    w, b = tf.Variable(2.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        loss = (w * 3.0 + b - 5.0) ** 2
    dw, db = tape.gradient(loss, [w, b])
    _say("loss = (w * 3 + b - 5)^2 at w = 2, b = 2: the tape records what is computed from them.")
    _say(f"loss = {loss:g}, d loss / dw = 2 * 3 * 3 = {dw:g}, d loss / db = 2 * 3 = {db:g}")

    x, start = tf.constant([1.0, 2.0, 3.0]), tf.constant([1.0, 10.0, 0.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)  # a constant is recorded only when asked for
        y = x**2
    _say("y = x^2, three numbers at once; x is a constant, so the tape is told to watch it.")
    _show("x:", x)
    _show("y:", y)
    _show("The gradient of the sum of y, 2x:", tape.gradient(y, x))
    _show("The same, each y weighed by output_gradients = 1, 10, 0:", tape.gradient(y, x, start))
    _image_gradient()


def _image_gradient() -> None:
    import tensorflow as tf

    image = tf.constant(ONES)
    with tf.GradientTape() as tape:
        tape.watch(image)
        conv = _convolve(image, 2, "VALID")
    _say(
        "output_gradients is where a reconstruction's start signal goes in. For a convolution, fed "
        "with its own result, the gradient is the transposed convolution: compare with "
        "'deconvviz demo conv-transpose'."
    )
    _show("The convolution of the 4x4 ones:", conv)
    _show("Its gradient at the image, output_gradients = that:", tape.gradient(conv, image, conv))


@demo.command("stop-gradient")
def stop_gradient() -> None:
    """What tf.stop_gradient leaves alone, and what it cuts."""
    import_tensorflow()
    import tensorflow as tf

    x = tf.Variable(4.0)
    with tf.GradientTape(persistent=True) as tape:
        whole = x * x * x
        cut = x * x * tf.stop_gradient(x)
    _say("y = x * x * x at x = 4, once as it is, once with tf.stop_gradient around the last x.")
    _say(f"As it is: y = {whole:g}, dy/dx = 3 * x * x = {tape.gradient(whole, x):g}")
    _say(f"Stopped:  y = {cut:g}, dy/dx = 2 * x * 4 = {tape.gradient(cut, x):g}")
    _say("The value is the same; the stopped x counts as the constant 4 on the way back.")

    first, second = tf.Variable(2.0), tf.Variable(5.0)
    with tf.GradientTape() as tape:
        output = second * tf.stop_gradient(first * 3.0)
    d_first, d_second = tape.gradient(output, [first, second])
    _say("Two layers: output = second * stop_gradient(first * 3) at first = 2, second = 5.")
    _say(f"output = {output:g}, d output / d second = {d_second:g}, d output / d first = {d_first}")
    _say(
        "None, not 0: no path is left to the first layer. In this way a layer is kept as it is "
        "while those above it learn."
    )


def _convolve(image: ArrayLike, stride: int, padding: str) -> ArrayLike:
    import tensorflow as tf

    batch = tf.reshape(image, [1, 4, 4, 1])
    return tf.nn.conv2d(batch, KERNEL[..., None, None], stride, padding)[0, ..., 0]


def _transpose(signal: ArrayLike, stride: int, padding: str) -> ArrayLike:
    import tensorflow as tf

    batch = tf.convert_to_tensor(signal)[None, ..., None]
    kernel = KERNEL[..., None, None]
    return tf.nn.conv2d_transpose(batch, kernel, [1, 4, 4, 1], stride, padding)[0, ..., 0]


def _plane(batch: ArrayLike) -> np.ndarray:
    return np.asarray(batch)[0, ..., 0]


def _dot(one: ArrayLike, other: ArrayLike) -> str:
    return f"{np.sum(np.asarray(one) * np.asarray(other)):g}"


def _say(text: str) -> None:
    click.echo(click.wrap_text(text, width=80) + "\n")


def _show(title: str, numbers: ArrayLike) -> None:
    rows = [[f"{number + 0.0:g}" for number in row] for row in np.atleast_2d(numbers)]  # no -0
    width = max(len(cell) for row in rows for cell in row)
    lines = ["  ".join(cell.rjust(width) for cell in row) for row in rows]
    click.echo("\n".join([title, *(f"    {line}" for line in lines), ""]))
