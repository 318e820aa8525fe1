"""Writes api-coverage.md: the reference's public names that are here, and those that aren't.

    python docs/make_api_coverage.py [TABLE]

TABLE is the JSON table of the reference's names and signatures; by default ../shared/api/keras-3.15.1.json.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TABLE = HERE.parents[1] / "shared" / "api" / "keras-3.15.1.json"
PAGE = HERE / "api-coverage.md"

# Where a name that is here lacks a parameter or method of the reference: pattern -> (what is lacking, why).
# A parameter stands by its name, a method by "()". tests/test_api_coverage.py fails for what isn't listed
# and for rows that no longer hold.
LACKING: dict[str, tuple[tuple[str, ...], str]] = {
    "*.quantized_build": (("()",), "quantization comes later, and from outside the layers"),
    "*.quantized_call": (("()",), "quantization comes later, and from outside the layers"),
    "*.enable_lora": (("()",), "LoRA comes later, and from outside the layers"),
    "*.rematerialized_call": (("()",), "rematerialization comes later"),
    "Model.quantize": (("filters",), "quantization comes later"),
    "Model.get_quantization_layer_structure": (("()",), "quantization comes later"),
    "Model.export": (("()",), "export comes later"),
    "Model.[gs]et_state_tree": (("()",), "not here yet; read and assign the variables"),
    "Layer.add_metric": (("()",), "the reference's only raises an error"),
    "layers.Rescaling.from_config": (("custom_objects",), "no value of the layer can be a custom object"),
    "*optimizers.*.build": (("var_list",), "it is `variables`, as in the base class"),
    "mixed_precision.*.build": (("var_list",), "it is `variables`, as in the base class"),
    "layers.RNN.compute_mask": (("_", "mask"), "they are `inputs, previous_mask`, as in the base class"),
    "layers.Bidirectional.compute_mask": (
        ("_", "mask"),
        "they are `inputs, previous_mask`, as in the base class",
    ),
    "layers.SimpleRNNCell.call": (("sequence",), "it is `inputs`, as in the other cells"),
    "layers.Random*.get_shifted_bbox": (("()",), "an inner helper; boxes follow from the matrix"),
    "layers.Random*.get_transformed_x_y": (("()",), "an inner helper; boxes follow from the matrix"),
    "layers.RandomZoom.get_clipped_bbox": (("()",), "an inner helper; boxes follow from the matrix"),
    "layers.RandomGrayscale.get_random_transformation": (("images",), "it is `data`, as in the base class"),
    "layers.RandomGrayscale.transform_*": (
        ("transformations",),
        "it is `transformation`, as in the base class",
    ),
    "optimizers.Adadelta.update_step": (("grad",), "it is `gradient`, as in the base class"),
    "optimizers.Muon.transpose_last_axis": (("X",), "it is `x`"),
}

DIFFERENCES = """\
- **Engines.** An engine belongs to a model, not to the process: `use_engine("jax")` chooses it at any time,
  as a statement or as a context manager, and several work side by side. `KERAS_BACKEND` is honoured after
  `TRICERAS_BACKEND`. NumPy is an engine for inference.
- **One training step.** A custom `train_step(self, data)` is written once, with `value_and_grad`, for all
  engines; the reference's form for each engine runs too.
- **No code in files.** Loading never executes or imports anything that a file names; `safe_mode=False`
  changes nothing. A `Lambda` layer is saved only if its function has a registered name.
- **Weights load strictly.** A missing, unexpected or misshaped weight is an error that lists all of them.
- **The epoch's loss is the epoch's loss:** the mean over its samples, also where batches differ in size.
- **Progress** is one live line on a terminal, one plain line an epoch elsewhere.
- **Initial weights** come from NumPy's Philox generator, the same on every engine for the same seed, so they
  differ from the reference's for that seed.
- **Data sets of files** (images, texts, sounds) are `PyDataset`s with NumPy batches, which have `numpy()` as
  tensors do: no TensorFlow is needed, and `format="grain"` gives the same object. JPEGs at least twice the wanted
  size are decoded at a half, quarter or eighth.
- **Text** becomes numbers on the host, before the compiled step. `sparse=True` and `ragged=True` are errors, as
  no engine has such tensors here; lookups return vectors as floats also when called eagerly.
- **`RandomCrop`** resizes and crops at inference, as its documentation says; the reference returns the image as it was.
- **`BackupAndRestore`** restores the layers' random numbers too, and removes only the files that it wrote.
- **Names of our own:** `use_engine`, `value_and_grad`, `Model.to`, `verify` and `report`, `fit(engine=...)`,
  `fit(balance=True)`, `ops.min_pool`, the `MinPooling` layers, `datasets.digits`, `visualization.grad_cam`, `saliency`
  and `feature_maps`, `utils.image_dataset_from_files`, `IndexedDataset`, `balanced_indices` and `image_statistics`,
  `preprocessing.image.ImageDataGenerator` and its kin."""


def found(path: str) -> Any:
    """The object at a public path, or None."""
    *modules, name = path.split(".")
    place = importlib.import_module("triceras")
    for part in modules:
        place = getattr(place, part, None)
    return getattr(place, name, None)


def parameters(signature: str) -> list[str] | None:
    """Names of the parameters in a signature; None where it doesn't say."""
    if signature.startswith("(/"):
        return None
    taken = ast.parse(f"def f{signature}: ...").body[0].args  # type: ignore[attr-defined]
    return [a.arg for a in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs) if a.arg != "self"]


def lacking(table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of a present name and a parameter that it lacks, or "()" for a method that isn't there."""
    for path, entry in table.items():
        target = found(path)
        if target is None:
            continue
        signatures = {path: entry.get("signature")}
        signatures |= {f"{path}.{method}": text for method, text in entry.get("methods", {}).items()}
        for name, text in signatures.items():
            mine = target if name == path else getattr(target, name.rpartition(".")[2], None)
            if mine is None:
                yield name, "()"
            elif text and (wanted := parameters(text)):
                own = inspect.signature(mine).parameters
                if not any(p.kind is p.VAR_KEYWORD for p in own.values()):
                    yield from ((name, parameter) for parameter in wanted if parameter not in own)


def reason(name: str, what: str) -> str | None:
    """Why this is lacking, or None where it isn't said."""
    rows = (row for pattern, row in LACKING.items() if fnmatch.fnmatchcase(name, pattern))
    return next((why for lacks, why in rows if what in lacks), None)


def page(table: dict[str, Any]) -> str:
    """The text of api-coverage.md."""
    spaces: dict[str, list[str]] = {}
    for path in table:
        spaces.setdefault(path.rpartition(".")[0], []).append(path)
    present = {path for path in table if found(path) is not None}
    lines = [
        "# Coverage of the Keras 3.15.1 API",
        "",
        "Written by `python docs/make_api_coverage.py`; don't edit. "
        "A name that is missing raises `AttributeError`.",
        "",
        f"**{len(present):,} of {len(table):,}** public names are here.",
        "",
        "| Namespace | Here | Missing |",
        "|---|---|---|",
    ]
    for space, paths in spaces.items():
        missing = [f"`{path.rpartition('.')[2]}`" for path in paths if path not in present]
        text = "all" if len(missing) == len(paths) else ", ".join(missing)
        title = f"keras.{space}".rstrip(".")
        lines.append(f"| `{title}` | {len(paths) - len(missing)} of {len(paths)} | {text} |")
    lines += ["", "## Different on purpose", "", DIFFERENCES, ""]
    lines += ["## Names that lack something", "", "| Name | Lacks | Why |", "|---|---|---|"]
    for pattern, (what, why) in LACKING.items():
        lacks = ", ".join("the method" if w == "()" else f"`{w}`" for w in what)
        lines.append(f"| `{pattern}` | {lacks} | {why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else TABLE
    PAGE.write_text(page(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
