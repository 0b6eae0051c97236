"""What the pictures of one layer prove: each thing they could depend on is changed, one at a time.

The learnt weights (drawn anew), the unit (another at the same place), the class (another), the
image (its switches lent by another). A picture that stays as it was does not show what was changed:
deconvnet and guided pictures partly recover the input whatever the network decided (Nie et al.
2018). The gradient is put through the same, beside every number, and every likeness is to be held
against the floor, that of two pictures that have nothing to do with each other.

References:
    Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv:1810.03292.
    Nie, Zhang & Patel 2018, arXiv:1805.07039. Mahendran & Vedaldi 2016, for switches.
"""

from collections.abc import Callable
from pathlib import Path

from deconvviz.deconv.deconvnet import Deconvnet
from deconvviz.errors import DataError
from deconvviz.experiments.checks import Checks
from deconvviz.experiments.covering import cover
from deconvviz.experiments.findings import ANOTHER_CLASS, Sanity, Settings
from deconvviz.experiments.given import one_input, require_net
from deconvviz.experiments.kept_parts import KeptParts
from deconvviz.experiments.watched import Images, watch
from deconvviz.received import require

Report = Callable[[str], None]


def check(
    net: Deconvnet,
    images: Images,
    layer: str,
    rules: str,
    feature: int | None = None,
    settings: Settings | None = None,
    report: Report = lambda what: None,
    keep: Path | None = None,
) -> Sanity:
    """Put the pictures of a layer's units to the test.

    Args:
        net: the trained network with the rules that `rules` names; its model is never changed.
        images: float32 `[n, H, W, C]` in network-input space; 20 or more make the numbers steady.
        layer: the target's path.
        rules: what to call the net's rules.
        feature: the same feature map in every image; None takes each image's strongest.
        settings: draws, seed and sizes; None takes the defaults.
        report: called with what begins, as each part does.
        keep: a folder in which parts lie until all is done, so that the same call goes on from
            there; None keeps nothing. Rules of one's own are told apart by their functions' names.

    Raises:
        DataError: where units fire in fewer than two images.
        DeconvvizError: for a layer or a feature that does not exist, and for a model that cannot
            be copied.
        UnsupportedLayerError: for a layer on the way back that the rules do not define.
    """
    require_net(net)
    require("settings", settings, (Settings, type(None)), "Settings, or None")
    images, layer, settings = one_input(net, images), net.path(layer), settings or Settings()
    watched = watch(net, images, layer, feature)
    checks = Checks(net, watched, rules, settings)
    report("watching")
    rows = [*checks.references(), *checks.selectivity(), *checks.switches()]
    missing: dict[str, str] = {}
    try:
        rows += checks.classes()
    except DataError as error:
        missing[ANOTHER_CLASS] = str(error)
    # The layers tell their rules, since two tables may go by one name.
    asked = layer, rules, net.layers, net.model.get_config(), feature, settings
    kept = KeptParts(keep, [*net.model.get_weights(), images], asked)
    for what, make in checks.redrawn():
        report(what)
        part = kept.part(what, make)
        rows += part.rows
        checks.show(part.pictures)
    report("covering")
    covering = cover(net, watched, checks.strong(), settings.sizes, checks.generator)
    kept.remove()
    names = tuple(checks.nets)
    depends = net.depends_on_image(layer)
    return Sanity(
        layer,
        names,
        watched,
        tuple(rows),
        covering,
        checks.pictures,
        missing,
        depends,
        settings,
        net.approximated(layer),
    )
