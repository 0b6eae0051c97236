"""Whether a feature map that did not fire is dead, or only silent on the images at hand.

A map that fires in a share f of all images is silent on n of them with probability (1 - f)^n. So
silence on n images says, with 95 percent confidence, that it fires in fewer than 3 / n of all (the
rule of three). From 300 images on that is fewer than one in a hundred, and the map is called dead;
of six photographs it would be one in two, which says nothing of the map.
"""

DEAD_FROM = 300
"""Images that a map is silent on before it is called dead."""


def dead_or_silent(images: int) -> str:
    """Say what maps are that never rose above 0 on so many images, in words that go after "are".

    Example:
        >>> dead_or_silent(10000), dead_or_silent(6), dead_or_silent(1)
        ('dead', 'silent on these 6 images', 'silent on this image')
    """
    if images >= DEAD_FROM:
        return "dead"
    return f"silent on these {images} images" if images != 1 else "silent on this image"


def dead(silent: list[int], images: int) -> list[int] | None:
    """Give the silent maps as dead ones for a record; None where the images are too few to say."""
    return silent if images >= DEAD_FROM else None
