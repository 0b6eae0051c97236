"""`deconvviz sanity` on a trained run, and one plain sentence for each bad input."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deconvviz.cli.sanity import sanity
from deconvviz.errors import DeconvvizError


def call(*arguments: object) -> Result:
    return CliRunner().invoke(sanity, list(map(str, arguments)))


def test_a_run_gets_a_figure_a_table_and_a_paragraph(trained: Path) -> None:
    ended = call("--ckpt", trained, "--limit", 3, "--draws", 1)
    assert ended.exit_code == 0, ended.output
    folder = trained / "sanity" / "folder-test-deconvnet-pool2-first3-draws1"
    record = json.loads((folder / "sanity.json").read_text())
    assert ended.stdout.startswith(record["verdict"])
    assert record["verdict"] in (folder / "sanity.md").read_text()
    assert str(folder / "sanity.png") in ended.output
    assert record["rules"] == ["deconvnet", "gradient"]
    assert record["step"] == 20


def test_what_was_asked_names_the_folder(trained: Path) -> None:
    ended = call(
        "--ckpt", trained, "--limit", 3, "--draws", 1, "--rules", "guided", "--layer", "conv1",
        "--feature", 2,
    )  # fmt: skip
    # A tiny network's map may fire in too few images: then that is said, and nothing is written.
    folder = trained / "sanity" / "folder-test-guided-conv1-feature2-first3-draws1"
    if ended.exit_code == 0:
        assert set(json.loads((folder / "sanity.json").read_text())["features"]) == {2}
    else:
        assert "fires in" in str(ended.exception)
        assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--layer", "conv9"), "conv9"),
        (("--feature", 64), "features 0 to 63; received 64"),
        (("--preprocess", "magic"), "magic"),
    ],
)
def test_what_cannot_be_checked_is_refused_in_a_sentence(
    arguments: tuple[object, ...], words: str, trained: Path
) -> None:
    ended = call("--ckpt", trained, "--limit", 3, *arguments)
    assert isinstance(ended.exception, DeconvvizError)
    assert words in str(ended.exception)


@pytest.mark.parametrize(
    "arguments",
    [("--limit", 1), ("--images", "one.png"), ("--draws", 0), ("one.png",)],
)
def test_usage_errors_end_with_two(arguments: tuple[object, ...], tmp_path: Path) -> None:
    ended = call("--ckpt", tmp_path, *arguments)
    assert ended.exit_code == 2
    assert "Error:" in ended.output
