"""A folder drawn anew holds one whole answer: the new one, or the one that was there."""

from pathlib import Path

import pytest

from deconvviz.drawings.anew import drawn_anew


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def draw(folder: Path, events: str, *pictures: str, stop: bool = False) -> None:
    with drawn_anew(folder, "[0-9]*-*") as paths:
        folder.mkdir(exist_ok=True)
        (folder / f"events.out.tfevents.{events}").touch()
        for name in pictures:
            (folder / f"{name}.png").touch()
            paths.append(folder / f"{name}.png")
        if stop:
            raise KeyboardInterrupt


def test_what_an_earlier_call_left_goes(tmp_path: Path) -> None:
    draw(tmp_path / "a", "1", "0-a", "1-b")
    draw(tmp_path / "a", "2", "0-a")
    assert names(tmp_path / "a") == ["0-a.png", "events.out.tfevents.2"]


def test_a_first_answer_that_is_stopped_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "a", "1", "0-a", stop=True)
    assert not list(tmp_path.iterdir())


def test_a_second_that_is_stopped_leaves_the_first_whole(tmp_path: Path) -> None:
    draw(tmp_path / "a", "1", "0-a", "1-b")
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "a", "2", "0-a", "2-c", stop=True)
    assert names(tmp_path / "a") == ["0-a.png", "1-b.png", "events.out.tfevents.1"]
