"""What can go wrong in a way that a person can mend.

Every error that the program raises on purpose is a `DeconvvizError`, and its text is for the person
who reads it: what was wrong, what was received, what is allowed, what to do next. The command line
prints that text alone and exits with 1. Anything else that surfaces is a defect of ours.
"""


class DeconvvizError(Exception):
    """Any failure that the caller can mend; the text says how."""


class ConfigError(DeconvvizError):
    """A configuration file or an override that cannot be used."""


class DataError(DeconvvizError):
    """A data set, an image or a folder that cannot be read, prepared or written."""


class CheckpointError(DeconvvizError):
    """A model file or a run directory that cannot be opened, saved or resumed."""


class EmptyReconstructionWarning(UserWarning):
    """A reconstruction that shows nothing, or only what rounding left; the text says why."""


class UnsupportedLayerError(DeconvvizError):
    """A layer on the way back to pixels that the chosen rules do not define."""
