"""`deconvviz sanity`: what may, and what may not, be read off a network's pictures."""

import click

from deconvviz.cli import options
from deconvviz.cli.asked import Asked, ask, folder_words
from deconvviz.cli.command import command
from deconvviz.cli.progress import kept_when_stopped, working

_LIMIT, _DRAWS = 24, 2


@command()
@ask
@options.SOURCE
@options.IMAGES
@click.option(
    "--limit",
    type=click.IntRange(2),
    default=_LIMIT,
    show_default=True,
    help="How many images of a data set; below 20, the numbers are unsteady.",
)
@options.LAYER
@options.FEATURE
@options.RULES
@options.NONLINEAR
@click.option(
    "--draws",
    type=click.IntRange(1),
    default=_DRAWS,
    show_default=True,
    help="How often each set of weights is drawn anew.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@options.PREPARED
def sanity(
    asked: Asked,
    limit: int,
    layer: str | None,
    feature: int | None,
    rules: str,
    nonlinear: str,
    draws: int,
    seed: int,
) -> None:
    """Check what a network's pictures prove: weights, unit, class and switches are changed in turn.

    One figure, one table and one paragraph in plain words, the gradient beside every number, as
    PNG, Markdown and JSON and in TensorBoard, in the run's folder under sanity/. Stopped half way,
    the same command goes on from there.
    """
    if len(asked.files) == 1:
        raise click.UsageError("--images takes two pictures or more: they are compared.")
    opened = asked.open(rules, nonlinear, [layer] if layer else [])
    from deconvviz.drawings.rows import max_pools
    from deconvviz.drawings.sanity import write_sanity
    from deconvviz.experiments.findings import Settings
    from deconvviz.experiments.sanity import check
    from deconvviz.experiments.verdict import verdict

    net, scaling, step = opened.net, opened.scaling, opened.checkpoint.step
    layer = layer or max_pools(net)[-1]
    net.require(layer)
    pictured = opened.pictured(opened.dataset(), limit)
    inputs, settings = scaling(pictured.images), Settings(draws, seed)
    keep = opened.checkpoint.folder / "sanity" / "unfinished"
    with kept_when_stopped(), working(f"checking {layer}") as now:
        found = check(net, inputs, layer, rules, feature, settings, now, keep)
    folder = opened.folder(
        "sanity",
        pictured.source,
        pictured.split,
        rules,
        folder_words([layer]),
        "" if feature is None else f"feature{feature}",
        f"first{limit}" if pictured.split and limit != _LIMIT else "",
        f"draws{draws}" if draws != _DRAWS else "",
        f"seed{seed}" if seed else "",
    )
    path = write_sanity(folder, found, pictured, scaling, step, opened.record())
    click.echo(f"{verdict(found)}\n\nFigure: {path}\nTable: {path.with_suffix('.md')}")
    opened.say_where()
