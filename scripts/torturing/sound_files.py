"""Small sound files of every kind that a person may give, to be damaged."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deconvviz.config import RunConfig, to_toml

KINDS = (
    ".keras", ".h5", "state.npz", "run.json", "config.toml", "metrics.csv", "picture", "parts",
    "search.npz",
)  # fmt: skip
SIZE = (12, 12, 3)


def write_sound_files(folder: Path) -> None:
    """Write one to eight of each kind into a folder of its name."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
    _models(folder)
    _run(folder)
    _pictures(folder / "picture")
    _parts(folder / "parts")
    _search(folder / "search.npz" / "a")


def network() -> tuple[Any, Any]:
    """A network of each kind of layer that our own have, the same each time, and its optimizer."""
    import keras

    keras.utils.clear_session()  # names are counted, and stand in a saved state
    keras.utils.set_random_seed(1)
    layers = keras.layers
    images = keras.Input(SIZE)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(images)
    x = layers.MaxPooling2D(2, name="pool")(layers.BatchNormalization()(x))
    x = layers.Dropout(0.5, seed=1)(layers.Flatten()(x))
    model = keras.Model(images, layers.Dense(5, name="dense")(x))
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    return model, optimizer


def _models(folder: Path) -> None:
    import keras

    from deconvviz.training.small_files import Progress
    from deconvviz.training.state import save_state

    layers = keras.layers
    inner = keras.Sequential(
        [layers.Input(SIZE), layers.SeparableConv2D(6, 3), layers.ReLU(max_value=6)]
    )
    nested = keras.Sequential(
        [layers.Input(SIZE), layers.Rescaling(1 / 255), inner, layers.GlobalMaxPooling2D()]
    )
    nested.compile("adam", "mse")
    model, optimizer = network()
    save_state(folder / "state.npz" / "a", model, optimizer, Progress(step=3, best=0.5))
    models = {"a": model, "b": nested}
    for name, model in models.items():
        for kind in (".keras", ".h5"):
            model.save(folder / kind / f"{name}{kind}")
            (folder / kind / f"{name}{kind}").rename(folder / kind / name)


def _run(folder: Path) -> None:
    data = {"name": "photos", "classes": ["a", "b"], "fingerprint": "0f" * 32, "train": 8}
    record = {"data": data, "finished": None, "test_accuracy": 0.5, "versions": {"keras": "3.15"}}
    (folder / "run.json" / "a").write_text(json.dumps(record, indent=2))
    (folder / "config.toml" / "a").write_text(to_toml(RunConfig()))
    for name in ("quickstart", "zf"):
        config = Path(__file__).parents[2] / "configs" / f"{name}.toml"
        (folder / "config.toml" / name).write_bytes(config.read_bytes())
    with (folder / "metrics.csv" / "a").open("w", newline="") as file:
        rows = [(step, 2.5 / step, 0.1, "" if step % 2 else 0.2) for step in range(1, 9)]
        csv.writer(file).writerows([("step", "loss", "accuracy", "test_accuracy"), *rows])


def _pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).resize((90, 70))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    exif[0x010E] = "a description"
    palette = picture.quantize(32)
    clear = picture.convert("RGBA")
    clear.putalpha(128)
    picture.save(folder / "rgb.png")
    palette.save(folder / "palette.png", transparency=3)
    clear.save(folder / "clear.png", exif=exif)
    Image.fromarray(rng.integers(0, 2**16, (30, 30)).astype(np.uint16)).save(folder / "deep.png")
    picture.save(folder / "a.jpeg", exif=exif)
    picture.save(folder / "progressive.jpeg", progressive=True, quality=40)
    palette.save(folder / "a.gif", save_all=True, append_images=[palette.rotate(90)])
    clear.save(folder / "clear.webp", exif=exif)
    picture.save(folder / "lossless.webp", lossless=True)
    picture.save(folder / "a.bmp")
    picture.save(folder / "a.tiff")


def _parts(folder: Path) -> None:
    image = (
        '[[image]]\nfile = "a{0}.png"\n[image.parts]\n'
        "left_eye = [30, 22, 10, 14]\nnose = [5, {0}, 7, 8]\n"
    )
    (folder / "files").write_text("".join(image.format(number) for number in range(3)))
    text = (folder / "files").read_text()
    for number in range(3):
        text = text.replace(f'file = "a{number}.png"', f"index = {number}")
    (folder / "indices").write_text(text)


def _search(path: Path) -> None:
    """What `features` leaves where it is stopped, of the network above."""
    from deconvviz.experiments.mining_state import Asked, Mined, save_state
    from deconvviz.experiments.top import nothing_yet

    model, _ = network()
    mined = Mined({"conv": nothing_yet("conv", 4, 3)}, 7, (123,))
    save_state(path, Asked(("conv",), 3, 0), model, mined)
