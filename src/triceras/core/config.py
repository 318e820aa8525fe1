"""Settings of the process: default float type, epsilon, image layout, display, the config file.

The file is `config.json` in the folder named by `TRICERAS_HOME`, then `KERAS_HOME`, else `~/.triceras`; a missing or
unreadable file means the defaults.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from triceras.core.errors import ArgumentError, ArgumentTypeError
from triceras.core.registry import export

FLOATS = ("float16", "bfloat16", "float32", "float64")
LAYOUTS = ("channels_last", "channels_first")


def home() -> Path:
    """The folder for the config file and downloaded data."""
    for name in ("TRICERAS_HOME", "KERAS_HOME"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    return Path.home() / ".triceras"


def _read_file() -> dict[str, Any]:
    try:
        found = json.loads((home() / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


_file = _read_file()
_settings: dict[str, Any] = {
    "floatx": _file.get("floatx") if _file.get("floatx") in FLOATS else "float32",
    "epsilon": _file["epsilon"] if isinstance(_file.get("epsilon"), float) else 1e-7,
    "image_data_format": _file.get("image_data_format")
    if _file.get("image_data_format") in LAYOUTS
    else LAYOUTS[0],
    "interactive_logging": True,
    "traceback_filtering": True,
    "flash_attention": None,
    "max_epochs": None,
    "max_steps_per_epoch": None,
}


on_floatx: list[Callable[[], None]] = []  # what to do when the default float type changes


def backend_setting() -> str | None:
    """The engine named by `TRICERAS_BACKEND`, then `KERAS_BACKEND`, then the config file; None if nothing names one."""
    return (
        os.environ.get("TRICERAS_BACKEND") or os.environ.get("KERAS_BACKEND") or _file.get("backend") or None
    )


@export("config.floatx", "backend.floatx")
def floatx() -> str:
    """The default float type.

    >>> floatx()
    'float32'
    """
    return _settings["floatx"]


@export("config.set_floatx", "backend.set_floatx")
def set_floatx(value: str) -> None:
    """Set the default float type: "float16", "bfloat16", "float32" or "float64"."""
    if value not in FLOATS:
        raise ArgumentError(f"set_floatx() takes one of {FLOATS}. Received: {value!r}")
    _settings["floatx"] = str(value)
    for action in on_floatx:
        action()


@export("config.epsilon", "backend.epsilon")
def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite.

    >>> epsilon()
    1e-07
    """
    return _settings["epsilon"]


@export("config.set_epsilon", "backend.set_epsilon")
def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite."""
    if not isinstance(value, (int, float)) or not value > 0:
        raise ArgumentError(f"set_epsilon() takes a number above 0. Received: {value!r}")
    _settings["epsilon"] = value


@export("config.image_data_format", "backend.image_data_format")
def image_data_format() -> str:
    """The default layout of images: "channels_last" (rows, columns, channels) or "channels_first".

    >>> image_data_format()
    'channels_last'
    """
    return _settings["image_data_format"]


@export("config.set_image_data_format", "backend.set_image_data_format")
def set_image_data_format(data_format: str) -> None:
    """Set the default layout of images: "channels_last" or "channels_first"."""
    _settings["image_data_format"] = standardize_data_format(data_format)


def standardize_data_format(data_format: str | None) -> str:
    """Check an image layout; None means the default one."""
    if data_format is None:
        return image_data_format()
    lowered = str(data_format).lower()
    if lowered not in LAYOUTS:
        raise ArgumentError(f"`data_format` must be one of {LAYOUTS}. Received: {data_format!r}")
    return lowered


@export("config.enable_interactive_logging", "utils.enable_interactive_logging")
def enable_interactive_logging() -> None:
    """Show progress on standard output (the default)."""
    _settings["interactive_logging"] = True


@export("config.disable_interactive_logging", "utils.disable_interactive_logging")
def disable_interactive_logging() -> None:
    """Send progress to `logging` instead of standard output."""
    _settings["interactive_logging"] = False


@export("config.is_interactive_logging_enabled", "utils.is_interactive_logging_enabled")
def is_interactive_logging_enabled() -> bool:
    """Whether progress is shown on standard output."""
    return _settings["interactive_logging"]


@export("config.enable_traceback_filtering")
def enable_traceback_filtering() -> None:
    """Accepted for compatibility: this version shows every frame whatever is set."""
    _settings["traceback_filtering"] = True


@export("config.disable_traceback_filtering")
def disable_traceback_filtering() -> None:
    """Accepted for compatibility: this version shows every frame whatever is set."""
    _settings["traceback_filtering"] = False


@export("config.is_traceback_filtering_enabled")
def is_traceback_filtering_enabled() -> bool:
    """What was set last; this version shows every frame whatever it is."""
    return _settings["traceback_filtering"]


@export("config.enable_flash_attention")
def enable_flash_attention() -> None:
    """Let attention use a fused kernel where the engine has one."""
    _settings["flash_attention"] = True


@export("config.disable_flash_attention")
def disable_flash_attention() -> None:
    """Never use a fused attention kernel."""
    _settings["flash_attention"] = False


@export("config.is_flash_attention_enabled")
def is_flash_attention_enabled() -> bool | None:
    """Whether attention may use a fused kernel; None means the engine decides."""
    return _settings["flash_attention"]


@export("config.is_nnx_enabled")
def is_nnx_enabled() -> bool:
    """Whether variables are Flax NNX objects: never, in Triceras."""
    return False


@export("config.enable_unsafe_deserialization")
def enable_unsafe_deserialization() -> None:
    """Refuse: loading never executes anything from a file, and no switch changes that.

    Raises:
        ArgumentError: always; it says what to do instead.
    """
    raise ArgumentError(
        "Triceras never runs code from a model file, so there is no unsafe mode to enable. Pass the functions and "
        "classes that the file names as `custom_objects=`, or register them with `register_keras_serializable`."
    )


def _positive_or_none(name: str, value: int | None) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ArgumentTypeError(f"`{name}` must be a positive integer or None. Received: {value!r}")


@export("config.max_epochs")
def max_epochs() -> int | None:
    """The most epochs that any `fit()` runs, or None."""
    return _settings["max_epochs"]


@export("config.set_max_epochs")
def set_max_epochs(max_epochs: int | None) -> None:
    """Cap the epochs of every `fit()`, for smoke tests; None removes the cap."""
    _settings["max_epochs"] = _positive_or_none("max_epochs", max_epochs)


@export("config.max_steps_per_epoch")
def max_steps_per_epoch() -> int | None:
    """The most steps that any epoch, `evaluate()` or `predict()` runs, or None."""
    return _settings["max_steps_per_epoch"]


@export("config.set_max_steps_per_epoch")
def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Cap the steps of every epoch, `evaluate()` and `predict()`, for smoke tests; None removes the cap."""
    _settings["max_steps_per_epoch"] = _positive_or_none("max_steps_per_epoch", max_steps_per_epoch)
