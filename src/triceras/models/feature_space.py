"""Tables of mixed data as inputs of a model: each column is prepared in its own way, and columns may be crossed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras import layers, ops
from triceras.core import tree
from triceras.core.capture import Configurable
from triceras.core.dtypes import is_float_dtype
from triceras.core.errors import ArgumentError, ArgumentTypeError, StateError, shown
from triceras.core.registry import export
from triceras.core.scope import unique_name
from triceras.core.spec import KerasTensor
from triceras.engine import selection
from triceras.layers.base import Layer
from triceras.utils.text import as_text, is_text

SAVED = "src.layers.preprocessing.feature_space"
OUTPUT_MODES = ("concat", "dict")
FEATURE_MODES = ("int", "one_hot", "float")


@export(saved=f"{SAVED}.TFDIdentity")
class TFDIdentity(layers.Identity):
    """Leaves a feature as it is; the name is that in files."""


@export(saved=f"{SAVED}.Feature")
class Feature(Configurable):
    """How one column is prepared.

    Args:
        dtype: of the column.
        preprocessor: a layer.
        output_mode: "one_hot" or "int" for indices that the layer finds, "float" for other numbers.
    """

    def __init__(self, dtype: str, preprocessor: Any, output_mode: str) -> None:
        if output_mode not in FEATURE_MODES:
            raise ArgumentError(f"`output_mode` must be one of {FEATURE_MODES}. Received: {output_mode!r}")
        if not isinstance(preprocessor, Layer):
            raise ArgumentTypeError(f"`preprocessor` must be a layer. Received: {shown(preprocessor)}")
        self.dtype, self.preprocessor, self.output_mode = dtype, preprocessor, output_mode

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"dtype": self.dtype, "preprocessor": self.preprocessor, "output_mode": self.output_mode}


@export(saved=f"{SAVED}.Cross")
class Cross(Configurable):
    """Columns whose combinations of values are a feature, too.

    Args:
        feature_names: the columns.
        crossing_dim: how many bins the combinations are hashed into.
        output_mode: "one_hot" or "int".
    """

    def __init__(self, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> None:
        if output_mode not in ("int", "one_hot"):
            raise ArgumentError(f'`output_mode` must be "int" or "one_hot". Received: {output_mode!r}')
        self.feature_names, self.crossing_dim = tuple(feature_names), crossing_dim
        self.output_mode = output_mode

    @property
    def name(self) -> str:
        """The names of the columns, joined."""
        return "_X_".join(self.feature_names)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "feature_names": self.feature_names,
            "crossing_dim": self.crossing_dim,
            "output_mode": self.output_mode,
        }


@export("utils.FeatureSpace")
class FeatureSpace(Layer):
    """Prepares the columns of a table for a model: scales numbers, encodes categories, crosses columns.

    It is adapted to data first, and then called on dicts of columns, one row or a batch of them; a data set may do that
    (`dataset.map(feature_space)`). Or it stands inside of a model, between `get_inputs()` and `get_encoded_features()`.

    Args:
        features: for each column what one of the methods `float`, `float_rescaled`, `float_normalized`,
            `float_discretized`, `integer_categorical`, `integer_hashed`, `string_categorical`, `string_hashed` and
            `feature` makes, or the name of such a method.
        output_mode: "concat" for one vector, "dict" for all features by their names.
        crosses: columns to be crossed: tuples of their names, or what the method `cross` makes.
        crossing_dim: bins of crosses that don't say it.
        hashing_dim: bins of hashed features that don't say it.
        num_discretization_bins: bins of discretized features that don't say it.
        name: made from the class name if not given.

    >>> space = FeatureSpace({"size": "float_normalized", "town": "string_categorical"})
    >>> table = {"size": np.array([1.0, 3.0]), "town": np.array(["Ulm", "Bonn"])}
    >>> space.adapt(table)
    >>> space(table).tolist()
    [[-1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
    """

    saved_alone = True

    def __init__(
        self,
        features: dict[str, Any],
        output_mode: str = "concat",
        crosses: Sequence[Any] | None = None,
        crossing_dim: int = 32,
        hashing_dim: int = 32,
        num_discretization_bins: int = 32,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not features:
            raise ArgumentError("FeatureSpace() needs `features`, a dict of at least one column.")
        if output_mode not in OUTPUT_MODES:
            raise ArgumentError(
                f"FeatureSpace(): `output_mode` must be one of {OUTPUT_MODES}. Received: {output_mode!r}"
            )
        self.crossing_dim, self.hashing_dim = crossing_dim, hashing_dim
        self.num_discretization_bins, self.output_mode = num_discretization_bins, output_mode
        self.features = {key: self._feature(key, value) for key, value in features.items()}
        self.crosses = [self._cross(value) for value in crosses or ()]
        self.inputs = {
            key: layers.Input(shape=(1,), dtype=feature.dtype, name=key)
            for key, feature in self.features.items()
        }
        self.preprocessors = {key: feature.preprocessor for key, feature in self.features.items()}
        self.crossers = {
            cross.name: layers.HashedCrossing(cross.crossing_dim, name=cross.name) for cross in self.crosses
        }
        self.one_hot_encoders: dict[str, Layer] = {}
        self.concat = layers.Concatenate(axis=-1) if output_mode == "concat" else None
        self._adapted = not any(map(_learns, self.preprocessors.values()))
        self._encoded: Any = None

    def _feature(self, name: str, value: Any) -> Feature:
        if isinstance(value, Feature):
            return value
        if isinstance(value, dict):
            return Feature.from_config(value.get("config", value))
        options = {
            "integer_hashed": {"num_bins": self.hashing_dim},
            "string_hashed": {"num_bins": self.hashing_dim},
            "float_discretized": {"num_bins": self.num_discretization_bins},
        }
        if value not in KINDS:
            raise ArgumentError(
                f"FeatureSpace(): the feature {name!r} must be one of {KINDS}, or what one of the methods of "
                f"these names makes. Received: {shown(value)}"
            )
        return getattr(self, value)(name=name, **options.get(value, {}))

    def _cross(self, value: Any) -> Cross:
        if isinstance(value, dict):
            value = Cross.from_config(value.get("config", value))
        cross = value if isinstance(value, Cross) else Cross(value, self.crossing_dim)
        unknown = [name for name in cross.feature_names if name not in self.features]
        if unknown:
            raise ArgumentError(
                f"FeatureSpace(): `crosses` names columns that aren't among the `features`: {unknown}. There are: "
                f"{list(self.features)}"
            )
        return cross

    # -- the kinds of features -------------------------------------------------------------------------------

    @classmethod
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Columns to be crossed; see `HashedCrossing`."""
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    def feature(cls, dtype: str, preprocessor: Any, output_mode: str) -> Feature:
        """A column that a layer of yours prepares.

        Args:
            dtype: of the column.
            preprocessor: the layer.
            output_mode: "one_hot" or "int" for indices that it finds, "float" for other numbers.
        """
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    def float(cls, name: str | None = None) -> Feature:
        """Numbers as they are."""
        return Feature("float32", TFDIdentity(name=_named(name, "float")), "float")

    @classmethod
    def float_rescaled(cls, scale: float = 1.0, offset: float = 0.0, name: str | None = None) -> Feature:
        """Numbers times `scale` plus `offset`."""
        layer = layers.Rescaling(scale, offset, name=_named(name, "float_rescaled"))
        return Feature("float32", layer, "float")

    @classmethod
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Numbers with mean 0 and variance 1."""
        return Feature("float32", layers.Normalization(-1, name=_named(name, "float_normalized")), "float")

    @classmethod
    def float_discretized(
        cls,
        num_bins: int,
        bin_boundaries: Sequence[float] | None = None,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Numbers as bins: of the given boundaries, or so many with as many data each."""
        count = num_bins if bin_boundaries is None else None
        layer = layers.Discretization(bin_boundaries, count, name=_named(name, "float_discretized"))
        return Feature("float32", layer, output_mode)

    @classmethod
    def integer_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Integers as categories; see `IntegerLookup`."""
        layer = layers.IntegerLookup(max_tokens, num_oov_indices, name=_named(name, "integer_categorical"))
        return Feature("int32", layer, output_mode)

    @classmethod
    def string_categorical(
        cls,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:
        """Strings as categories; see `StringLookup`."""
        layer = layers.StringLookup(max_tokens, num_oov_indices, name=_named(name, "string_categorical"))
        return Feature("string", layer, output_mode)

    @classmethod
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Integers as bins of their hashes; see `Hashing`."""
        return Feature("int32", layers.Hashing(num_bins, name=_named(name, "integer_hashed")), output_mode)

    @classmethod
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Strings as bins of their hashes; see `Hashing`."""
        return Feature("string", layers.Hashing(num_bins, name=_named(name, "string_hashed")), output_mode)

    # -- learning --------------------------------------------------------------------------------------------

    def adapt(self, dataset: Any) -> None:
        """Learn from data what features need: vocabularies, means, boundaries.

        Args:
            dataset: a dict of columns, or batches or single rows of them: a `PyDataset`, a `tf.data.Dataset` or any
                other iterable of dicts. Of tuples the first entry counts.
        """
        source = [dataset] if isinstance(dataset, dict) else dataset
        source = list(source) if hasattr(source, "__next__") else source
        for name, preprocessor in self.preprocessors.items():
            if _learns(preprocessor):
                preprocessor.adapt(_Column(source, name))
        self._adapted, self._encoded = True, None

    # -- calling ---------------------------------------------------------------------------------------------

    def get_inputs(self) -> dict[str, KerasTensor]:
        """Symbolic inputs of a model, one for each column."""
        return self.inputs

    def get_encoded_features(self) -> Any:
        """What becomes of `get_inputs()`: a symbolic tensor, or a dict of them."""
        self._require_adapted()
        if self._encoded is None:
            self._encoded = self._encode(self.inputs)
        return self._encoded

    def _require_adapted(self) -> None:
        if not self._adapted:
            raise StateError(f"FeatureSpace {self.name!r} must know the data first: call adapt(dataset).")

    def __call__(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(data, dict):
            raise ArgumentTypeError(
                f"FeatureSpace {self.name!r} takes a dict of columns. Received: {shown(data, 80)}"
            )
        missing = [name for name in self.features if name not in data]
        if missing:
            raise ArgumentError(
                f"FeatureSpace {self.name!r} lacks the columns {missing}. Received: {sorted(data)}"
            )
        return super().__call__({name: _as_column(data[name]) for name in self.features}, *args, **kwargs)

    def _convert_one(self, x: Any) -> Any:
        return x  # the layers inside take each as it comes

    def call(self, data: dict[str, Any]) -> Any:
        self._require_adapted()
        single = all(len(x.shape) == 0 for x in data.values())
        encoded = self._encode({name: _two_axes(x) for name, x in data.items()})
        return tree.map_structure(lambda x: ops.squeeze(x, 0), encoded) if single else encoded

    def _encode(self, columns: dict[str, Any]) -> Any:
        """Columns of shape (batch, 1) as features, in the order of their names, and crosses after them in theirs."""
        prepared = {name: self.preprocessors[name](columns[name]) for name in self.features}
        found = {}
        for name, feature in sorted(self.features.items()):
            found[name] = self._finished(name, prepared[name], feature.output_mode, self.preprocessors[name])
        for cross in sorted(self.crosses, key=lambda cross: cross.name):
            crosser = self.crossers[cross.name]
            x = crosser([prepared[name] for name in cross.feature_names])
            found[cross.name] = self._finished(cross.name, x, cross.output_mode, crosser)
        if self.concat is None:
            return found
        whole = [name for name, x in found.items() if not is_float_dtype(x.dtype)]
        if whole:
            raise ArgumentError(
                f"FeatureSpace {self.name!r}: the features {whole} are indices, which can't be joined with others to "
                'one vector. Make them with output_mode="one_hot", or the space with output_mode="dict".'
            )
        return self.concat(list(found.values())) if len(found) > 1 else next(iter(found.values()))

    def _finished(self, name: str, x: Any, mode: str, preprocessor: Layer) -> Any:
        """A prepared column as its mode says."""
        if mode == "float":
            return x if is_float_dtype(x.dtype) else ops.cast(x, self.compute_dtype)
        if mode == "int":
            return x
        if name not in self.one_hot_encoders:
            self.one_hot_encoders[name] = layers.CategoryEncoding(
                _categories(name, preprocessor), output_mode="multi_hot", name=f"{name}_one_hot_encoder"
            )
        return self.one_hot_encoders[name](x)

    # -- configs and files -----------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        from triceras.saving.objects import serialize_keras_object

        return {
            "features": serialize_keras_object(self.features),
            "output_mode": self.output_mode,
            "crosses": [serialize_keras_object(cross) for cross in self.crosses],
            "crossing_dim": self.crossing_dim,
            "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make a feature space from what `get_config` returned."""
        from triceras.saving.objects import deserialize_keras_object

        read = {name: deserialize_keras_object(config[name]) for name in ("features", "crosses")}
        return cls(**(config | read))

    def get_build_config(self) -> dict[str, Any]:
        return {name: layer.get_build_config() for name, layer in self.preprocessors.items()}

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Build the layers inside as a saved file says; what they have learned comes after."""
        for name, shapes in (config or {}).items():
            if name in self.preprocessors and not self.preprocessors[name].built:
                self.preprocessors[name].build_from_config(shapes)
        self._adapted = self.built = True

    def save_own_variables(self, store: Any) -> None:
        """Nothing: the layers inside have it all."""

    def load_own_variables(self, store: Any) -> None:
        """Nothing: the layers inside have it all."""

    def save(self, filepath: Any) -> None:
        """Save it to a `.keras` file, which `saving.load_model` reads."""
        from triceras.saving import save_model

        save_model(self, filepath)


KINDS = tuple(
    name
    for name, value in vars(FeatureSpace).items()
    if isinstance(value, classmethod) and name not in ("cross", "feature", "from_config")
)


def _named(name: str | None, kind: str) -> str:
    return f"{name or unique_name(kind)}_preprocessor"


def _learns(preprocessor: Layer) -> bool:
    """Whether a layer learns from data, and wasn't given what it would learn."""
    given = getattr(preprocessor, "_lookup_layer", preprocessor)
    known = ("input_mean", "input_vocabulary", "bin_boundaries")
    return hasattr(preprocessor, "adapt") and all(getattr(given, name, None) is None for name in known)


def _categories(name: str, preprocessor: Layer) -> int:
    """How many indices a layer may find."""
    for attribute in ("vocabulary_size", "_bins", "num_bins", "num_tokens"):
        found: Callable[[], int] | int | None = getattr(preprocessor, attribute, None)
        if found is not None:
            return found() if callable(found) else found
    raise ArgumentError(
        f"The feature {name!r} can't be one-hot encoded, for its layer {type(preprocessor).__name__} doesn't say how "
        'many categories there are. Use output_mode="int" or "float".'
    )


class _Column:
    """One column of all batches, with an axis of size 1."""

    def __init__(self, source: Any, name: str) -> None:
        self._source, self._name = source, name

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for batch in self._source:
            table = batch[0] if isinstance(batch, tuple) else batch
            if not isinstance(table, dict) or self._name not in table:
                raise ArgumentError(
                    f"FeatureSpace.adapt() needs dicts with the column {self._name!r}. Received: {shown(table, 80)}"
                )
            yield ops.convert_to_numpy(_two_axes(_as_column(table[self._name])))


def _as_column(value: Any) -> Any:
    """An array or tensor: text becomes an array of `str`."""
    if isinstance(value, KerasTensor) or (hasattr(value, "dtype") and selection.engine_of(type(value))):
        return value
    return as_text(value) if is_text(value) else np.asarray(value)


def _two_axes(x: Any) -> Any:
    """With the shape (batch, 1), from () or (batch,)."""
    missing = 2 - len(x.shape)
    if missing <= 0:
        return x
    if isinstance(x, KerasTensor):
        return KerasTensor((*(1,) * (missing - 1), *x.shape, 1), x.dtype)
    return x[None, None] if missing == 2 else x[:, None]
