"""A run's small files, read and validated in one place, so that every fault names its file.

A run is kept for years, moved, copied and edited by hand. What it holds is trusted no more than a
stranger's file: each is read up to a limit, parsed, and held to its shape by pydantic.
"""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from deconvviz.errors import CheckpointError

T = TypeVar("T")
_LARGEST = 2**26  # bytes; a row of metrics has fifty
_SHOWN = 60  # characters of a wrong value

Step = Annotated[int, Field(ge=0, lt=2**63)]
Row = tuple[Step, float, float, float | Literal[""]]
"""Of metrics.csv: step, loss, accuracy, test accuracy."""


class DataRecord(BaseModel):
    """What a run's record says of its data; further keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    classes: tuple[str, ...]
    fingerprint: str


class RunRecord(BaseModel):
    """run.json: versions, threads, data, and how the run ended; further keys are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    data: DataRecord
    finished: str | None = None
    test_accuracy: float | None = None


class Progress(BaseModel):
    """How far a run has come: the steps done, and the best evaluation so far (0 to 1)."""

    model_config = ConfigDict(frozen=True)

    step: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 0
    best: Annotated[float, Field(ge=0, le=1)] = 0.0


def read_small(path: Path, shape: type[T], parse: Callable[[bytes], Any], remedy: str) -> T:
    """Read a file of a run, and hold what it says to a shape.

    Args:
        path: the file.
        shape: a type that pydantic knows.
        parse: makes Python values of the file's bytes.
        remedy: what to do where the file is no good, as a sentence.

    Raises:
        CheckpointError: where it lacks, cannot be read, or says something else; it names the file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        return validated(shape, parse(content))
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, RecursionError, csv.Error) as error:
        reason = str(error)
    raise CheckpointError(f"{path} cannot be read: {reason}. {remedy}") from None


def validated(shape: type[T], value: Any) -> T:
    """Hold a value to a shape.

    Raises:
        ValueError: naming the first place that does not fit.
    """
    try:
        return TypeAdapter(shape).validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        received = ascii(problem["input"])
        received = received if len(received) <= _SHOWN else f"{received[:_SHOWN]}…"
        told = f"{where + ': ' if where else ''}{problem['msg']}, received {received}"
        raise ValueError(told) from None


def json_value(content: bytes) -> Any:
    """Parse JSON in UTF-8."""
    import json

    return json.loads(content.decode("utf-8"))


def csv_rows(content: bytes) -> list[list[str]]:
    """Parse the rows of a CSV file in UTF-8 below its heading; one without an end was torn."""
    whole = content[: content.rfind(b"\n") + 1].decode("utf-8")
    return [row for row in csv.reader(io.StringIO(whole, newline="")) if row][1:]
