"""Does a unit look where its picture is strong? Cover that, and see how far the unit falls.

Zeiler & Fergus checked their pictures so (2013, Section 4.2): where the part that a picture shows
is covered, the map's activity drops. Here the drop is held against that of the same shape laid
elsewhere in what the unit sees; a sliding square asks the same of every place; and small noise asks
whether a picture's signs foretell how the unit changes (Yeh et al. 2019).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.experiments.similarity import infidelity, ranks
from deconvviz.experiments.watched import Images, Watched

Numbers = npt.NDArray[np.float64]
Covers = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sizes:
    """How much is covered and how often.

    Attributes:
        share: of the pixels that a unit sees, how many are covered.
        moves: to how many places a shape is moved.
        square: the side of the sliding square, as a share of the shorter side of what a unit sees;
            it goes on by half of itself.
        noises: how many small changes of the image the infidelity is taken over.
        noise: their standard deviation, in deviations of the images' values.
    """

    share: float = 0.2
    moves: int = 8
    square: float = 0.25
    noises: int = 32
    noise: float = 0.01


@dataclass(frozen=True, eq=False)
class Agreement:
    """How well pictures agree with what their units do, `[n]` each; NaN where it is not defined.

    Attributes:
        drop: by which share a unit falls when its picture's strongest part is covered: 1 silences
            it, below 0 it rose.
        elsewhere: the same with that shape moved, the mean of several places.
        occlusion: in [-1, 1], the rank correlation of the picture's strength under a sliding
            square with the unit's fall when that is covered.
        infidelity: the share of the unit's answers to small noise that the picture does not
            foretell, 0 to 1.
    """

    drop: Numbers
    elsewhere: Numbers
    occlusion: Numbers
    infidelity: Numbers


def cover(
    net: Deconvnet,
    watched: Watched,
    maps: dict[str, npt.NDArray[np.floating]],
    sizes: Sizes,
    generator: np.random.Generator,
) -> dict[str, Agreement]:
    """Cover parts of what units see, and shake their images a little.

    What is covered takes the images' mean colour.

    Args:
        net: the trained network.
        watched: the units.
        maps: by name, pictures `[n, H, W, C]` or `[n, H, W, 1]` of the images.
        sizes: how much is covered and how often.
        generator: of the places that shapes are moved to, and of the noise.

    Returns:
        The agreement of each name's pictures.
    """
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in maps}
    for at in range(len(watched.images)):
        probe = _Probe(net, watched, at)
        squares = _squares(*probe.size, sizes.square)
        falls = probe.falls(squares)
        noise = generator.normal(0, sizes.noise, (sizes.noises, *watched.images.shape[1:]))
        noise, changes = probe.shaken(noise * watched.images.std())
        for name, each in maps.items():
            strength = probe.cut(np.abs(each[at]).sum(axis=-1))
            shapes = _moved(strongest_part(strength, sizes.share), sizes.moves, generator)
            own, *others = probe.falls(shapes)
            under = (squares * strength).sum(axis=(1, 2), dtype=np.float64)
            foretold = (noise * each[at]).sum(axis=(1, 2, 3), dtype=np.float64)
            found[name].append(
                (own, np.mean(others), ranks(under, falls), infidelity(foretold, changes))
            )
    return {name: Agreement(*np.array(each).T) for name, each in found.items()}


def strongest_part(strength: npt.NDArray[np.floating], share: float) -> Covers:
    """Mark the strongest pixels, a share of them, rounded up.

    Args:
        strength: `[h, w]`, not negative.
        share: above 0, at most 1.

    Returns:
        bool `[h, w]`; of equally strong pixels the first in reading order.
    """
    count = int(np.ceil(share * strength.size))
    marked = np.zeros(strength.size, bool)
    marked[np.argsort(-strength.ravel(), kind="stable")[:count]] = True
    return marked.reshape(strength.shape)


class _Probe:
    """One watched unit, its image, and the box of pixels that it sees."""

    def __init__(self, net: Deconvnet, watched: Watched, at: int) -> None:
        self._net, self._watched, self._at = net, watched, at
        self._image, box = watched.images[at], watched.boxes[at]
        self._window = slice(box.top, box.bottom), slice(box.left, box.right)
        self.size = box.bottom - box.top, box.right - box.left

    def cut(self, plane: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """The part of `[H, W]` that the unit sees."""
        return plane[self._window]

    def falls(self, covers: Covers) -> Numbers:
        """By which share the unit falls under each of covers `[m, h, w]`."""
        images = np.repeat(self._image[None], len(covers), axis=0)
        images[:, *self._window][covers] = self._watched.images.mean(axis=(0, 1, 2))
        return 1 - self._values(images)

    def shaken(self, noise: Numbers) -> tuple[Numbers, Numbers]:
        """Noise cut to what the unit sees, and by which share the unit falls without it."""
        inside = np.zeros_like(noise)
        inside[:, *self._window] = noise[:, *self._window]
        return inside, 1 - self._values((self._image - inside).astype(np.float32))

    def _values(self, images: Images) -> Numbers:
        watched, at = self._watched, self._at
        activation = self._net.activation(images, watched.layer)
        place = () if watched.place is None else tuple(watched.place[at])
        values = activation[(slice(None), *place, watched.feature[at])]
        return np.asarray(values, np.float64) / float(watched.value[at])


def _moved(shape: Covers, moves: int, generator: np.random.Generator) -> Covers:
    """A shape, and the same moved round within its box: `[1 + moves, h, w]`."""
    places = generator.integers(0, shape.shape, (moves, 2))
    return np.stack([shape, *(np.roll(shape, tuple(place), (0, 1)) for place in places)])


def _squares(height: int, width: int, share: float) -> Covers:
    """Every place of a square that slides over a box: `[m, h, w]`."""
    side = max(1, round(share * min(height, width)))
    step = max(1, side // 2)
    corners = [
        (y, x) for y in range(0, height - side + 1, step) for x in range(0, width - side + 1, step)
    ]
    squares = np.zeros((len(corners), height, width), bool)
    for square, (y, x) in zip(squares, corners, strict=True):
        square[y : y + side, x : x + side] = True
    return squares
