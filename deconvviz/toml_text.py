"""Read TOML that a person or a stranger wrote.

Python's reader goes down into brackets until its stack is full, and stumbles over a number of
thousands of digits; a path may be none, or name a device without an end. Each is said in words.
"""

import tomllib
from pathlib import Path
from typing import Any

from deconvviz.errors import ConfigError
from deconvviz.wording import one_line

_LARGEST = 2**20  # bytes; ours have one thousandth of that
_PATH = 200  # characters of a path that a refusal repeats


def read_toml(path: Path, called: str, example: str) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: the file.
        called: what it is, such as "configuration file".
        example: what to give where there is none, as a sentence.

    Raises:
        ConfigError: for a file that lacks, cannot be read, or is no TOML of a sensible length.
    """
    name = f"{called} {one_line(str(path), _PATH)}"
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ConfigError(f"The {name} has more than {_LARGEST:,} bytes. {example}")
        return parse_toml(content.decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"There is no {name}. {example}") from None
    except OSError as error:
        raise ConfigError(f"The {name} cannot be read: {error.strerror}. {example}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"The {name} is no text in UTF-8: {error}. {example}") from None
    except ValueError as error:  # a path with a null byte is one too
        said = one_line(str(error), _PATH).rstrip(".")
        raise ConfigError(f"The {name} is not TOML: {said}.") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        ValueError: for what is none; the text says why.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    except ValueError as error:
        told = "it has a number of too many digits" if "digits" in str(error) else str(error)
        raise ValueError(told) from None
