"""Layers of many uses: dense, einsum, embedding, masking, functions as layers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from triceras import activations, ops
from triceras.core.dtypes import is_float_dtype, standardize_dtype
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, shown
from triceras.core.registry import export
from triceras.core.spec import Shape, standardize_shape
from triceras.layers import arguments
from triceras.layers import weights as weight_kinds
from triceras.layers.base import Layer
from triceras.layers.input_spec import InputSpec
from triceras.ops.linalg import affine


@export("layers.Dense")
class Dense(Layer):
    """Every output is a weighted sum of all inputs: `activation(inputs @ kernel + bias)`.

    Takes `(batch, ..., size)` and returns `(batch, ..., units)`. `lora_rank`, `lora_alpha` and
    `quantization_config` must be None.

    Args:
        units: size of the output.
        activation: name or function; none if not given.
        use_bias: whether to add a bias.
        kernel_initializer: first values of the kernel, of shape `(size, units)`.
        bias_initializer: first values of the bias.
        kernel_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        activity_regularizer: penalty on the output.
        kernel_constraint: limits of the kernel.
        bias_constraint: limits of the bias.

    >>> Dense(3)(np.ones((2, 5), "float32")).shape
    (2, 3)
    """

    supports_masking = True
    omitted_if_none = ("activity_regularizer", "lora_rank", "lora_alpha")

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        arguments.unavailable(
            self, lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config
        )
        self.units = arguments.count(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        weight_kinds.configure(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        weight_kinds.configure(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: Shape) -> None:
        self.kernel = weight_kinds.add(self, "kernel", (input_shape[-1], self.units))
        self.bias = weight_kinds.add(self, "bias", (self.units,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        bias = self.bias
        return self.activation(
            ops.matmul(inputs, self.kernel) if bias is None else affine(inputs, self.kernel, bias)
        )


_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]*)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]*)(\.\.\.)?")


@export("layers.EinsumDense")
class EinsumDense(Layer):
    """A dense layer along any axes, written as an einsum of the input and the kernel.

    `lora_rank`, `lora_alpha`, `gptq_unpacked_column_size` and `quantization_config` must be None.

    Args:
        equation: such as "abc,cd->abd"; the input and the output may begin or end with "...".
        output_shape: sizes of the output without the batch (and without what "..." stands for); None entries
            follow from the input.
        activation: name or function; none if not given.
        bias_axes: letters of the output's axes that the bias has; no bias if not given.
        kernel_initializer: first values of the kernel.
        bias_initializer: first values of the bias.
        kernel_regularizer: penalty on the kernel.
        bias_regularizer: penalty on the bias.
        kernel_constraint: limits of the kernel.
        bias_constraint: limits of the bias.

    >>> EinsumDense("abc,cd->abd", output_shape=(None, 6), bias_axes="d")(np.ones((2, 4, 3), "float32")).shape
    (2, 4, 6)
    """

    omitted_if_none = ("lora_rank", "lora_alpha", "gptq_unpacked_column_size")

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.unavailable(
            self,
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            gptq_unpacked_column_size=gptq_unpacked_column_size,
            quantization_config=quantization_config,
        )
        self.equation = equation
        self.partial_output_shape = (
            (output_shape,) if isinstance(output_shape, int) else standardize_shape(output_shape)
        )
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        weight_kinds.configure(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        weight_kinds.configure(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self._check_equation()

    def _check_equation(self) -> None:
        """Split the equation into the axes of input, kernel and output, and find where "..." stands."""
        found = _EQUATION.fullmatch(str(self.equation).replace(" ", ""))
        if found is None or (found[1], found[3]) != (found[5], found[7]) or (found[1] and found[3]):
            raise ArgumentError(
                'EinsumDense(): `equation` must look like "abc,cd->abd", with "..." at the same end of the '
                f"input and the output or nowhere. Received: {shown(self.equation)}"
            )
        self._input_axes, self._kernel_axes, self._output_axes = found[2], found[4], found[6]
        self._open = "left" if found[1] else "right" if found[3] else None
        self._contracted = self._count_contracted()
        for axis in self._output_axes:
            if axis not in self._input_axes + self._kernel_axes:
                raise ArgumentError(
                    f"EinsumDense(): the output's axis {axis!r} of {self.equation!r} is neither the input's "
                    "nor the kernel's."
                )
        unknown = sorted(set(self.bias_axes or "") - set(self._output_axes))
        if unknown:
            raise ArgumentError(
                f"EinsumDense(): `bias_axes` must be axes of the output {self._output_axes!r}. Received: "
                f"{self.bias_axes!r}"
            )

    def _count_contracted(self) -> int | None:
        """How many axes are contracted, if these are the input's last and the kernel's first, in order."""
        inputs, kernel, output = self._input_axes, self._kernel_axes, self._output_axes
        for count in range(1, min(len(inputs), len(kernel)) + 1):
            kept, summed, made = inputs[:-count], inputs[-count:], kernel[count:]
            distinct = len({*inputs, *made}) == len(inputs + made)
            if distinct and (kernel, output) == (summed + made, kept + made) and self._open != "right":
                return count
        return None

    def build(self, input_shape: Shape) -> None:
        rank = len(self._input_axes)
        if len(input_shape) < rank or (self._open is None and len(input_shape) != rank):
            raise ShapeError(
                f"Layer {self.path!r} (EinsumDense) expected an input with axes "
                f"{self._input_axes!r}{' and more' if self._open else ''}, as its equation says. Received "
                f"shape {tuple(input_shape)}."
            )
        named = input_shape[len(input_shape) - rank :] if self._open == "left" else input_shape[:rank]
        sizes = dict(zip(self._input_axes, named, strict=True))
        output = self._output_axes if self._open == "left" else self._output_axes[1:]  # without the batch
        wanted = self.partial_output_shape
        if len(wanted) > len(output) or (len(wanted) < len(output) and self._open != "left"):
            raise ShapeError(
                f"Layer {self.path!r} (EinsumDense): `output_shape` must have {len(output)} sizes, for the "
                f"axes {output!r}. Received: {wanted}"
            )
        for axis, size in zip(output[len(output) - len(wanted) :], wanted, strict=True):
            if size is not None and sizes.get(axis) not in (None, size):
                raise ShapeError(
                    f"Layer {self.path!r} (EinsumDense): axis {axis!r} has size {sizes[axis]} in the input "
                    f"and {size} in `output_shape`."
                )
            sizes[axis] = sizes.get(axis) if size is None else size
        self.kernel = weight_kinds.add(self, "kernel", [sizes.get(axis) for axis in self._kernel_axes])
        self.bias = None
        if self.bias_axes:
            first = min(self._output_axes.index(axis) for axis in self.bias_axes)
            shape = [sizes[axis] if axis in self.bias_axes else 1 for axis in self._output_axes[first:]]
            self.bias = weight_kinds.add(self, "bias", shape)
        self.input_spec = InputSpec(ndim=len(input_shape))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if self._contracted is None:
            x = ops.einsum(self.equation, inputs, self.kernel)
        else:  # the usual case, for which engines have a fast product of matrices
            x = ops.tensordot(inputs, self.kernel, self._contracted)
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return self.activation(x)

    def get_config(self) -> dict[str, Any]:
        config = {"activity_regularizer": None} | super().get_config()
        return config | {"output_shape": self.partial_output_shape}


@export("layers.Embedding")
class Embedding(Layer):
    """A vector of weights for each integer: turns indices of any shape `(...)` into `(..., output_dim)`.

    `lora_rank`, `lora_alpha` and `quantization_config` must be None. Indices are not checked; those out of
    range give what the engine makes of them.

    Args:
        input_dim: how many indices there are, from 0 on.
        output_dim: size of a vector.
        embeddings_initializer: first values of the vectors.
        embeddings_regularizer: penalty on the vectors.
        embeddings_constraint: limits of the vectors.
        mask_zero: whether index 0 is padding, which later layers are told to ignore.
        weights: values of the vectors, instead of an initializer.

    >>> Embedding(10, 4)(np.array([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    omitted_if_none = ("lora_rank", "lora_alpha")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        input_length = kwargs.pop("input_length", None)  # of earlier versions
        if input_length is not None:
            kwargs.setdefault("input_shape", (input_length,))
        super().__init__(**kwargs)
        arguments.unavailable(
            self, lora_rank=lora_rank, lora_alpha=lora_alpha, quantization_config=quantization_config
        )
        self.input_dim = arguments.count(self, "input_dim", input_dim)
        self.output_dim = arguments.count(self, "output_dim", output_dim)
        weight_kinds.configure(
            self, "embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint
        )
        self.mask_zero = self.supports_masking = bool(mask_zero)
        self.autocast = False  # indices stay exact
        self._initial = None
        if weights is not None:
            array = np.asarray(
                weights[0] if isinstance(weights, (list, tuple)) and len(weights) == 1 else weights
            )
            if array.shape != (self.input_dim, self.output_dim):
                raise ShapeError(
                    f"Embedding(): `weights` must have shape {(self.input_dim, self.output_dim)}. Received: "
                    f"{array.shape}"
                )
            self._initial = array

    def build(self, input_shape: Shape | None = None) -> None:
        self.embeddings = weight_kinds.add(self, "embeddings", (self.input_dim, self.output_dim))
        if self._initial is not None:
            self.embeddings.assign(self._initial)

    def call(self, inputs: Any) -> Any:
        if "int" not in standardize_dtype(inputs.dtype):
            inputs = ops.cast(inputs, "int32")
        return ops.cast(ops.take(self.embeddings, inputs, axis=0), self.compute_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        config = {"activity_regularizer": None} | super().get_config()
        return {k: v for k, v in config.items() if k not in ("weights", "input_length")}


@export("layers.ReversibleEmbedding")
class ReversibleEmbedding(Embedding):
    """An embedding that also goes back: `layer(x, reverse=True)` turns vectors into logits of the indices.

    Press and Wolf, 2016, https://arxiv.org/abs/1608.05859

    Args:
        input_dim: how many indices there are, from 0 on.
        output_dim: size of a vector.
        tie_weights: whether the way back uses the same weights, transposed; else it has its own.
        embeddings_initializer: first values of the vectors.
        embeddings_regularizer: penalty on the vectors.
        embeddings_constraint: limits of the vectors.
        mask_zero: whether index 0 is padding, which later layers are told to ignore.
        reverse_dtype: dtype in which the way back is computed.
        logit_soft_cap: keeps logits within plus and minus this number, smoothly.

    >>> layer = ReversibleEmbedding(10, 4)
    >>> layer(layer(np.array([[1, 2, 3]])), reverse=True).shape
    (1, 3, 10)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint,
            mask_zero, **kwargs,
        )  # fmt: skip
        self.tie_weights = bool(tie_weights)
        self.reverse_dtype = None if reverse_dtype is None else standardize_dtype(reverse_dtype)
        if logit_soft_cap is not None:
            arguments.number(self, "logit_soft_cap", logit_soft_cap, above=0)
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: Shape | None = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
                name="reverse_embeddings",
            )

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if not reverse:
            return super().call(inputs)
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        kernel = ops.cast(kernel, self.compute_dtype)
        if self.reverse_dtype is not None:
            inputs, kernel = ops.cast(inputs, self.reverse_dtype), ops.cast(kernel, self.reverse_dtype)
        logits = ops.matmul(inputs, kernel)
        if self.logit_soft_cap is None:
            return logits
        return ops.multiply(ops.tanh(ops.divide(logits, self.logit_soft_cap)), self.logit_soft_cap)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        backwards = is_float_dtype(standardize_dtype(inputs.dtype))
        return None if backwards else super().compute_mask(inputs, mask)

    def compute_output_shape(self, input_shape: Shape, reverse: bool = False) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.input_dim) if reverse else (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> Any:
        return self._evaluated_spec(inputs, reverse=reverse)

    def get_config(self) -> dict[str, Any]:
        return {"quantization_config": None} | super().get_config()


@export("layers.Identity")
class Identity(Layer):
    """Returns its input, of any shape or structure.

    >>> Identity()(np.ones((2, 3), "float32")).shape
    (2, 3)
    """

    supports_masking = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        return inputs


@export("layers.Masking")
class Masking(Layer):
    """Tells later layers to ignore steps of `(batch, steps, features)` in which all features have one value.

    Args:
        mask_value: the value that marks a step; marked steps become 0.

    >>> Masking()(np.array([[[1.0, 2.0], [0.0, 0.0]]], "float32")).shape
    (1, 2, 2)
    """

    supports_masking = True

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Any) -> Any:
        kept = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        return ops.multiply(inputs, ops.cast(kept, standardize_dtype(inputs.dtype)))


@export("layers.Lambda")
class Lambda(Layer):
    """Makes a layer of a function of a tensor.

    The function must hold no weights; write a `Layer` for that. A model with it can be saved if the function
    is public (such as `ops.square`) or registered with `register_keras_serializable`; code is never put into
    files or run from them.

    Args:
        function: called with the inputs, with `mask` and `training` if it takes them, and with `arguments`.
        output_shape: shape of the output without the batch, or a function of the input's shape; found out if
            not given.
        mask: mask of the output, or a function of the inputs and their mask.
        arguments: further keyword arguments of the function.

    >>> Lambda(lambda x: x * 2.0)(np.ones((1, 2), "float32")).tolist()
    [[2.0, 2.0]]
    """

    omitted_if_none = ("output_shape", "mask")

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ArgumentTypeError(f"Lambda(): `function` must be callable. Received: {shown(function)}")
        self.function, self.arguments = function, dict(arguments or {})
        self._output_shape, self.mask = output_shape, mask
        self.supports_masking = mask is not None
        try:
            taken = inspect.signature(function).parameters
        except (TypeError, ValueError):  # some functions written in C don't say
            taken = {}
        self._passed = [name for name in ("mask", "training") if name in taken]

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        given = {"mask": mask, "training": training}
        return self.function(inputs, **self.arguments, **{name: given[name] for name in self._passed})

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._output_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        return (input_shape[0], *standardize_shape(self._output_shape, "output_shape"))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self._output_shape is None:
            return self._evaluated_spec(*args, **kwargs)
        return super().compute_output_spec(*args, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
        safe_mode: bool | None = None,
    ) -> Lambda:
        """Make a layer from what `get_config` returned. It is always safe: code in a config is refused."""
        from triceras.saving.objects import CustomObjectScope, get_registered_object, public_function

        config = dict(config)
        data = config.get("function")
        with CustomObjectScope(custom_objects or {}):
            if (
                isinstance(data, dict)
                and data.get("class_name") == "function"
                and isinstance(data.get("config"), str)
            ):
                known = get_registered_object(data["config"]) or public_function(
                    data["config"], ("activations", "ops")
                )
                config["function"] = known or data
            return super().from_config(config)

    def get_config(self) -> dict[str, Any]:
        try:
            return super().get_config()
        except ArgumentError as error:
            raise ArgumentError(
                f"Layer {self.path!r} (Lambda) can't be saved: {shown(self.function, 80)} has no name that "
                "a file could hold, and code is never stored. Write it as a function with `def` and "
                "decorate it with `@register_keras_serializable()`, or make it a Layer."
            ) from error
