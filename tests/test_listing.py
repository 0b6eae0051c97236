"""Lists and plurals in messages."""

from deconvviz.listing import counted, listed, nearest

MANY = [f"block{block}/conv{conv}" for block in range(1, 13) for conv in range(1, 6)]


def test_one_is_no_plural() -> None:
    assert [counted(n, "row") for n in (0, 1, 2, 1000)] == [
        "0 rows",
        "1 row",
        "2 rows",
        "1,000 rows",
    ]
    assert counted(3, "class", "classes") == "3 classes"


def test_a_line_of_names_is_listed_whole() -> None:
    assert listed(["conv1", "pool1"], "conv9") == "conv1, pool1"


def test_of_sixty_names_the_nearest_three_are_listed() -> None:
    assert listed(MANY, "block7/conv33").startswith("block7/conv3, ")
    assert listed(MANY, "block7/conv33").count(",") == 3
    assert listed(MANY) == "block1/conv1, block1/conv2, block1/conv3, … (60 in all)"


def test_a_layer_of_the_same_last_name_is_the_nearest() -> None:
    assert nearest("stem", ["a/b/c/d/stem", "stems", "steam", "item"])[0] == "a/b/c/d/stem"
