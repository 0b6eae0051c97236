"""The names of scalings, and constants of one's own: read right, or refused with the form."""

import subprocess
import sys

import pytest

from deconvviz.data.scalings import KINDS, Scaling, parse_scaling
from deconvviz.errors import DataError


@pytest.mark.parametrize(
    "text",
    [
        "mean=125.3,123.0,113.9,std=63.0,62.1,66.7",
        "std=63.0,62.1,66.7,mean=125.3,123.0,113.9",
        " mean = 125.3, 123.0, 113.9 , std = 63.0, 62.1, 66.7 ",
    ],
)
def test_mean_and_std_are_read_in_either_order_with_or_without_blanks(text: str) -> None:
    assert parse_scaling(text) == Scaling((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))


@pytest.mark.parametrize(
    ("text", "channels"),
    [
        ("mean=127.5,std=64", None),
        ("mean=1,2,3,std=64", 3),
        ("mean=127.5,std=2,3", 2),
        ("raw", None),
        ("caffe", 3),
        ("torch", 3),
    ],
)
def test_as_many_channels_fit_as_there_are_constants(text: str, channels: int | None) -> None:
    scaling = parse_scaling(text)
    assert scaling is not None
    assert scaling.channels == channels


@pytest.mark.parametrize("name", KINDS)
def test_every_plain_name_is_read(name: str) -> None:
    assert (parse_scaling(name) is None) == (name == "standardize")


def test_only_caffe_turns_the_colours_round() -> None:
    turned = [name for name in KINDS if (scaling := parse_scaling(name)) and scaling.bgr]
    assert turned == ["caffe"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mean=127.5", "each once"),
        ("std=64", "each once"),
        ("mean=127.5,mean=64", "each once"),
        ("mean=127.5,std=64,mean=3", "each once"),
        ("mean=127.5;std=64", "each once"),
        ("mean=127.5std=64", "each once"),
        ("avg=127.5,std=64", "each once"),
        ("Mean=127.5,std=64", "each once"),
        ("=", "each once"),
        ("mean=,std=64", "'' is no number"),
        ("mean=1,2,,std=64", "'' is no number"),
        ("mean=127.5,std=", "'' is no number"),
        ("mean=1,two,3,std=64", "'two' is no number"),
        ("mean=1 2 3,std=64", "'1 2 3' is no number"),
        ("mean=1,2,3,std=4,5", "3 values of mean and 2 of std"),
        ("mean=127.5,std=0", "std may be 1 to 65535, not 0"),
        ("mean=127.5,std=-64", "std may be 1 to 65535, not -64"),
        ("mean=127.5,std=nan", "std may be 1 to 65535, not nan"),
        ("mean=127.5,std=inf", "std may be 1 to 65535, not inf"),
        ("mean=-1,std=64", "mean may be 0 to 255, not -1"),
        ("mean=256,std=64", "mean may be 0 to 255, not 256"),
        ("mean=nan,std=64", "mean may be 0 to 255, not nan"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason_and_the_form(text: str, why: str) -> None:
    with pytest.raises(DataError) as error:
        parse_scaling(text)
    for part in (repr(text), why, "mean=…,std=…", "such as mean=127.5,std=64 or mean=125.3,123.0"):
        assert part in str(error.value)


def test_constants_for_pixels_from_0_to_1_are_told_apart() -> None:
    with pytest.raises(DataError, match=r"not 0\.229 \(multiply by 255"):
        parse_scaling("mean=0.485,0.456,0.406,std=0.229,0.224,0.225")


@pytest.mark.parametrize("text", ["whiten", "", "RAW", "raw "])
def test_an_unknown_name_is_refused_with_the_known_ones_and_the_form(text: str) -> None:
    with pytest.raises(DataError) as error:
        parse_scaling(text)
    for part in (repr(text), *KINDS, "mean=…,std=…", "such as mean=127.5,std=64"):
        assert part in str(error.value)


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None  # to import either fails from now on
from deconvviz.data import fit_images, read_images
from deconvviz.data.scalings import parse_scaling
from deconvviz.errors import DataError
try:
    parse_scaling("mean=1")
except DataError:
    sys.exit(0)
sys.exit("mean=1 was taken")
"""


def test_a_wrong_name_is_refused_without_tensorflow() -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "text",
    ["y" * 100_000, "mean=" + "y" * 100_000 + ",std=1", "mean=" + "9" * 5000 + ",std=1", "\x1b[2J"],
)
def test_a_hostile_text_is_refused_in_few_printable_words(text: str) -> None:
    with pytest.raises(DataError) as refused:
        parse_scaling(text)
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()
