"""The table of a model's layers: what each gives, what its units see, which rule reverses it."""

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from deconvviz.deconv.receptive_field import ReceptiveField
    from deconvviz.deconv.survey import LayerInfo

_LEGEND = (
    "what a unit sees: height x width of its receptive field in pixels, how far it goes from one "
    "unit to the next, and where it begins for the first unit (in the padding, below 0)"
)


def print_layers(console: Console, record: dict[str, Any], layers: tuple["LayerInfo", ...]) -> None:
    """Print what a file is, from the record that `--json` prints, and every layer of its model."""
    console.print(f"{record['file']}: {record['format']}", highlight=False, soft_wrap=True)
    console.print(f"sha256 {record['sha256']}", highlight=False, soft_wrap=True)
    shapes = " and ".join(_shape(shape) for shape in record["inputs"])
    console.print(f"takes {shapes}; {record['parameters']:,} parameters", highlight=False)
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("layer", "kind", "output", "a unit sees", "stride", "offset"):
        table.add_column(heading, overflow="fold")
    table.add_column(f"rule ({record['rules']})", overflow="fold")
    table.add_column("parameters", justify="right")
    for layer in layers:
        table.add_row(
            layer.path,
            layer.kind,
            _shape(layer.output_shape),
            *_fields(layer, len(record["inputs"]) > 1),
            layer.rule or layer.reason or "",
            f"{layer.parameters:,}",
        )
    console.print(table)
    console.print(_LEGEND, highlight=False)


def _shape(shape: Any) -> str:
    return "x".join("any" if size is None else str(size) for size in shape)


def _fields(layer: "LayerInfo", several: bool) -> tuple[str, ...]:
    """What a unit sees, one line an input; of several inputs, each by its name."""
    lines = [
        (f"{columns[0]} of {name}" if several else columns[0], *columns[1:])
        for name, columns in ((n, _field(f)) for n, f in layer.receptive_fields.items())
    ]
    return tuple(map("\n".join, zip(*lines, strict=True))) or ("nothing", "", "")


def _field(field: "ReceptiveField | None") -> tuple[str, str, str]:
    if field is None:
        return "the whole", "", ""
    return (
        "{}x{}".format(*field.size),
        "{:g}, {:g}".format(*field.stride),
        "{}, {}".format(*field.offset),
    )
