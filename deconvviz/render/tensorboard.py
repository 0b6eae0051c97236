"""Write what TensorBoard shows: scalars, pictures, text and the graph.

The event file is written record by record, with TensorBoard's own record writer and summary
formats, and each record is handed to the system at once, so that a killed run loses nothing that
it reported. Pictures are uint8 only: TensorBoard clips floats to [0, 1] and so loses every negative
value, without a word.
"""

import io
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from deconvviz.errors import DeconvvizError
from deconvviz.render.png import QUICK
from deconvviz.render.scaling import Pixels
from deconvviz.wording import escaped


class EventLog:
    """One session's event file in the directory of a run.

    A run that was killed and resumed has several files, one a session. Where an earlier session
    went further than the checkpoint that this one resumes from, its points from `first_step` on
    are struck out: TensorBoard's Python reader does so for the SessionLog.START written here, its
    Rust reader strikes a tag's old points when the first new one comes. So steps only ever rise
    within a tag, and what does not continue the run takes a directory of its own.

    Args:
        directory: the run's directory; made where it lacks.
        first_step: the first step that this session may write.

    Raises:
        DeconvvizError: where the file cannot be written, here and in every method.

    Example:
        with EventLog(Path("logs/run")) as log:
            log.scalar("train/loss", 1.25, step=200)
    """

    def __init__(self, directory: Path, first_step: int = 0) -> None:
        # Readers take the files in the order of their names, which the start time decides.
        name = f"events.out.tfevents.{time.time():.9f}.{socket.gethostname()}.{os.getpid()}"
        self._path = directory / name
        with self._explained():
            directory.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        self._records = RecordWriter(self._file)
        self._kinds: dict[str, str] = {}  # TensorBoard shows nothing of a tag that has two
        source = SourceMetadata(writer="deconvviz.render.tensorboard")
        self._write(0, file_version="brain.Event:2", source_metadata=source)
        self._write(first_step, session_log=SessionLog(status=SessionLog.START))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write one point of a curve."""
        self._require_kind(tag, "scalar")
        self._write(step, summary=scalar_pb(tag, np.float32(value)))

    def images(self, tag: str, pixels: Pixels, step: int, description: str) -> None:
        """Write all of a batch of pictures under one tag.

        Args:
            tag: such as `source/cifar10`; pictures are grouped by what stands before the slash.
            pixels: uint8 `[n, h, w, 3]`; TensorBoard itself enlarges small ones, unsmoothed.
            step: the training step. A tag's slider runs over its steps, so the number of an image
                or of a filter has no place here.
            description: what the pictures show, in Markdown; TensorBoard keeps a tag's first.

        Raises:
            TypeError: for anything but uint8 of that shape.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3:
            raise TypeError(
                f"{tag}: pixels must be uint8 [n, h, w, 3], not {pixels.dtype} {pixels.shape}"
            )
        self._require_kind(tag, "images")
        _, height, width, _ = pixels.shape
        parts = [str(width).encode(), str(height).encode(), *(_png(one) for one in pixels)]
        value = Summary.Value(
            tag=tag,
            tensor=make_tensor_proto(parts),
            metadata=create_summary_metadata(None, escaped(description)),
        )
        self._write(step, summary=Summary(value=[value]))

    def text(self, tag: str, markdown: str, step: int) -> None:
        """Write a text, shown as Markdown."""
        self._require_kind(tag, "text")
        self._write(step, summary=text_pb(tag, escaped(markdown)))

    def graph(self, graph: Any) -> None:
        """Write a TensorFlow graph, such as a concrete function's `.graph`."""
        self._write(0, graph_def=graph.as_graph_def(add_shapes=True).SerializeToString())

    def flush(self) -> None:
        """Return when all that was written lies on the disk, as a checkpoint does."""
        with self._explained():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; nothing can be written after that."""
        with self._explained():
            self._file.close()

    def _require_kind(self, tag: str, kind: str) -> None:
        if self._kinds.setdefault(tag, kind) != kind:
            raise ValueError(f"{tag} holds {self._kinds[tag]}; give the {kind} a tag of its own")

    def _write(self, step: int, **what: Any) -> None:
        event = Event(wall_time=time.time(), step=step, **what)
        with self._explained():
            self._records.write(event.SerializeToString())
            self._records.flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DeconvvizError(
                f"The event file {self._path} could not be written: {error.strerror or error}. "
                "What it held before is untouched. Make room or choose a directory that can be "
                "written, then resume the run."
            ) from error


def _png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", compress_level=QUICK)
    return file.getvalue()
