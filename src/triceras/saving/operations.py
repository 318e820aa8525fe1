"""Nodes of graphs in files, where the class of an operation stands for it, such as `LogSoftmax`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from triceras.core import registry
from triceras.core.errors import ArgumentError, FileFormatError, NotFoundError
from triceras.core.spec import any_symbolic, tape
from triceras.ops.op import OpCall

CLASSES = {  # names of classes that aren't the op's name in capitals
    "allclose": "AllClose", "batch_normalization": "BatchNorm", "cdist": "CDist",
    "ctc_decode": "CTCDecode", "ctc_loss": "CTCLoss", "deg2rad": "Deg2rad", "fft": "FFT", "fft2": "FFT2",
    "hsv_to_rgb": "HSVToRGB", "ifft2": "IFFT2", "irfft": "IRFFT", "isin": "IsIn", "istft": "ISTFT",
    "layer_normalization": "LayerNorm", "log1p": "Log1p", "psnr": "PSNR", "rad2deg": "Rad2deg",
    "rfft": "RFFT", "rgb_to_grayscale": "RGBToGrayscale", "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm", "searchsorted": "SearchSorted", "size_of": "Size", "ssim": "SSIM",
    "stft": "STFT", "svd": "SVD",
}  # fmt: skip
MATH = frozenset({
    "cdist", "erf", "erfc", "erfinv", "extract_sequences", "fft", "fft2", "ifft2", "in_top_k", "irfft",
    "istft", "logdet", "logsumexp", "rfft", "rsqrt", "segment_max", "segment_min", "segment_prod",
    "segment_sum", "stft", "top_k", "view_as_complex", "view_as_real",
})  # fmt: skip


def module_and_class(call: OpCall) -> tuple[str, str]:
    """Where the reference defines the class of an operation, and the class's name."""
    op = call.op.name.strip("_")
    homes = (h for h in ("numpy", "nn", "linalg", "image") if registry.lookup(f"ops.{h}.{op}"))
    home = "math" if op in MATH else next(homes, "core")
    return f"keras.src.ops.{home}", CLASSES.get(op) or "".join(part.title() for part in op.split("_"))


def config_of(call: OpCall) -> dict[str, Any]:
    """The arguments that stand in the operation's config: all but those that its calls are given."""
    kept = {k: v for k, v in call.arguments.items() if k not in call.op.passed and not _many(call, k)}
    return {"name": call.name, **kept}


def inputs_of(call: OpCall, values: Sequence[Any]) -> list[Any]:
    """The arguments that stand in the description of a call, in the order of the op's signature."""
    given = dict(zip(call.op.tensors, values, strict=False)) | {k: call.arguments[k] for k in call.op.passed}
    inputs: list[Any] = []
    for name in call.op.signature.parameters:
        if name in given or (name in call.op.tensors and name not in call.arguments):
            inputs += given.get(name, ()) if _many(call, name) else [given.get(name)]
    while inputs and inputs[-1] is None:
        inputs.pop()
    return inputs


def _many(call: OpCall, name: str) -> bool:
    """Whether an argument is one that takes all further ones."""
    kind = call.op.signature.parameters[name].kind
    return kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class SavedOperation:
    """An operation as a file describes it: calls an op with the config's arguments by name, others by order.

    Args:
        name: the name of the operation's class.
        config: its config.

    Raises:
        NotFoundError: there is no such op.
        ArgumentError: the config holds an argument that the op doesn't have.
    """

    def __init__(self, name: str, config: dict[str, Any]) -> None:
        self.function, self.parameters = _function(name)
        self.tuples = self.function.op.passed if hasattr(self.function, "op") else ()  # JSON has only lists
        self.name = config.get("name")
        self.config = {
            k: v for k, v in config.items() if k != "name" and (v is not None or k in self.parameters)
        }
        unknown = sorted(set(self.config) - set(self.parameters))
        if unknown:
            raise ArgumentError(
                f"The config of the operation {name!r} gives arguments {unknown}, which it doesn't have."
            )

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The symbolic result; the node that makes it gets the name in the file."""
        if not any_symbolic((inputs, named)):  # else a file could have tensors of any size made
            raise FileFormatError(f"The operation {self.name!r} has no symbolic input.")
        known, waiting, args = self.config | named, list(inputs), []
        for name, parameter in self.parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                args += waiting
                waiting = []
            elif name in known and parameter.kind is not parameter.KEYWORD_ONLY:
                args.append(known.pop(name))
            elif waiting:
                value = waiting.pop(0)
                args.append(tuple(value) if name in self.tuples and isinstance(value, list) else value)
            else:
                break
        nodes: list[Any] = []
        with tape(nodes):
            outputs = self.function(*args, *waiting, **known)
        made = [n.operation for n in nodes if isinstance(n.operation, OpCall)]
        for operation in made if isinstance(self.name, str) else ():
            operation.name = self.name if operation is made[-1] else f"{self.name}_{operation.name}"
        return outputs


def _function(name: str) -> tuple[Any, dict[str, inspect.Parameter]]:
    """The function behind the name of an operation's class, and its parameters."""
    wanted = {v: k for k, v in CLASSES.items()}.get(name, name).replace("_", "").lower()
    for known in (*registry.names("ops"), *(f"image.{n}" for n in registry.names("ops.image"))):
        if known.rpartition(".")[2].replace("_", "") == wanted:
            function = registry.lookup(f"ops.{known}")
            if callable(function) and not inspect.isclass(function):
                return function, dict(inspect.signature(function).parameters)
    raise NotFoundError(f"The file names an operation {name!r}, which isn't known.")
