"""What comes before the first picture: the command's help, and the first call on a new model.

Each is measured in processes of its own, since a process pays only once.
"""

import subprocess
import sys
from pathlib import Path

from scripts.benchmarks.timing import Effort, Limit, Row, seconds

FIRST_CALL = """
import sys, time
from deconvviz.cli.quiet import import_tensorflow
import_tensorflow()
import keras, numpy as np, deconvviz
from deconvviz.config import ModelConfig
from deconvviz.models.classic import classic_network
deconvviz.Deconvnet
random = np.random.default_rng(0)
if sys.argv[1] == "classic":
    model = classic_network(ModelConfig(), (24, 24, 3), 10)
    images = random.standard_normal((128, 24, 24, 3), np.float32)
    asked = dict(layer="pool2")
else:
    model = keras.applications.VGG16(weights=None)
    images = random.standard_normal((8, 224, 224, 3), np.float32)
    asked = dict(layer="block3_conv3", feature=np.arange(8), at=[(28, 28)] * 8)
began = time.perf_counter()
net = deconvviz.Deconvnet(model)
net.reconstruct(images, **asked)
first = time.perf_counter() - began
began = time.perf_counter()
net.reconstruct(images, **asked)
print(first - (time.perf_counter() - began))
"""


def first_call_classic(effort: Effort) -> Row:
    """Measure the first call for the classic network's whole second layer."""
    return _first_call("classic", "the classic net's layer 2", effort)


def first_call_vgg(effort: Effort) -> Row:
    """Measure the first call for units of VGG16."""
    return _first_call("vgg", "units of VGG16 block3_conv3", effort)


def start_of_help(effort: Effort) -> Row:
    """Measure `deconvviz --help`, which must not import TensorFlow."""
    command = [str(Path(sys.executable).with_name("deconvviz")), "--help"]
    traced = [sys.executable, "-X", "importtime", "-m", "deconvviz", "--help"]
    imports = subprocess.run(traced, capture_output=True, text=True, check=True).stderr
    if "tensorflow" in imports:
        raise SystemExit("deconvviz --help imports TensorFlow.")
    measured = [
        seconds(lambda: subprocess.run(command, capture_output=True, check=True))
        for _ in range(2 * effort.pairs)
    ]
    return Row("`deconvviz --help`, no TensorFlow imported", measured, Limit(0.4), " s")


def _first_call(network: str, what: str, effort: Effort) -> Row:
    command = [sys.executable, "-c", FIRST_CALL, network]
    outputs = [
        subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
        for _ in range(effort.pairs)
    ]
    measured = [float(output.split()[-1]) for output in outputs]
    what = f"first call on a new model, {what}: more than the second call takes"
    return Row(what, measured, Limit(1.5), " s")
