"""One experiment, one file: what is read is what was written, and what is wrong is told."""

from pathlib import Path

import pytest

from deconvviz.config import RunConfig, load_config, to_toml
from deconvviz.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_configuration_is_valid_and_says_what_it_measured(path: Path) -> None:
    load_config(path)
    header = "".join(line for line in path.read_text().splitlines(True) if line.startswith("#"))
    for word in ("command", "machine", "time", "result"):
        assert f"#   {word} " in header


def test_the_defaults_are_the_classic_program() -> None:
    assert load_config(next(path for path in CONFIGS if path.name == "classic.toml")) == RunConfig()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_resolved_configuration_reads_back_equal(path: Path, tmp_path: Path) -> None:
    layers = 'pictures.layers=["pool1", "pool2"]'
    folder = ["data.name=folder", "data.dir=/some where/it's"]
    config = load_config(path, [*folder, layers, "pictures.scale=[0.5, 2]"])
    (tmp_path / "config.toml").write_text(to_toml(config))
    assert load_config(tmp_path / "config.toml") == config


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["data.size=48"], "cifar10 are 32 pixels wide"),
        (["data.name=photos", "data.dir=here"], "built in"),
        (["data.name=photos", "data.skip_broken=true"], "skip_broken is for name = 'folder'"),
        (["data.crop=0", "data.random_crop=true"], "random_crop needs a crop below 32"),
    ],
)
def test_a_value_that_another_one_leaves_without_an_effect_is_refused(
    settings: list[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(None, settings)


def test_overrides_win_over_the_file_and_the_last_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[train]\nsteps = 7\nseed = 3\n")
    config = load_config(file, ["train.steps=8", "train.steps=9", "data.name=photos"])
    assert (config.train.steps, config.train.seed, config.data.name) == (9, 3, "photos")


def test_a_section_that_is_a_value_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("train = 7\n")
    with pytest.raises(ConfigError, match="train"):
        load_config(file)
    with pytest.raises(ConfigError, match="train is a value"):
        load_config(file, ["train.steps=1"])


def test_a_run_keeps_the_papers_epochs_as_shares_of_its_steps_unless_it_names_others() -> None:
    # 64 epochs of 100 steps: the epochs themselves.
    papers = (100, 200, 500, 1000, 2000, 3000, 4000, 6400)
    assert load_config(overrides=["train.steps=6400"]).kept_steps == papers
    assert load_config(overrides=["train.steps=1"]).kept_steps == (1,)
    assert load_config(overrides=["evolution.steps=[30, 7, 30]"]).kept_steps == (7, 30)
    assert load_config(overrides=["evolution.steps=[]"]).kept_steps == ()


def test_a_step_to_keep_beyond_the_runs_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"evolution.steps goes up to 21, .* ends at 20"):
        load_config(overrides=["train.steps=20", "evolution.steps=[1, 21]"])
    with pytest.raises(ConfigError, match=r"evolution.steps.0.*greater than or equal to 1"):
        load_config(overrides=["evolution.steps=[0]"])
