"""PyTorch: eager tensors; steps are captured once as graphs of ATen calls, replayed without our Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from triceras.core import tree
from triceras.core.dtypes import standardize_dtype
from triceras.core.spec import KerasTensor
from triceras.engine import faces
from triceras.engine.contract import Engine, Guest, StateScope, state
from triceras.engine.on_torch import module, ops
from triceras.engine.on_torch.arrays import canonical, from_number, from_numpy, here, to_numpy, torch_dtype
from triceras.engine.on_torch.steps import CompiledLoop, CompiledStep


class TorchEngine(Engine):
    """Computes with PyTorch."""

    name = library = "torch"
    natives = ops.NATIVES
    takes_numbers = ops.TAKE_NUMBERS
    modules = (torch.nn.Module,)
    signals = (GuardOnDataDependentSymNode,)

    def owns(self, kind: type) -> bool:
        return issubclass(kind, torch.Tensor)

    def make(self, value: Any, dtype: str | None = None) -> torch.Tensor:
        if isinstance(value, torch.Tensor):
            return value if dtype is None else value.to(torch_dtype(dtype))
        if isinstance(value, (bool, int, float, complex)):
            return from_number(value, dtype)  # integers out of range raise
        return from_numpy(np.array(value), dtype)

    def hold(self, value: np.ndarray, trainable: bool = False) -> torch.Tensor:
        with torch.utils._python_dispatch._disable_current_modes():
            tensor = from_numpy(np.array(value), None)
        if trainable and (tensor.is_floating_point() or tensor.is_complex()):
            return torch.nn.Parameter(tensor)
        return tensor

    def store(self, held: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """A parameter stays the same object, so that optimizers of torch keep it; other state is swapped."""
        value = value.detach()
        if isinstance(held, torch.nn.Parameter):
            held.data = value
            return held
        return value

    def trained(self, held: torch.Tensor, trainable: bool) -> torch.Tensor:
        if trainable and not isinstance(held, torch.nn.Parameter):
            return torch.nn.Parameter(held)
        return held.requires_grad_(trainable) if isinstance(held, torch.nn.Parameter) else held

    def traced(self, x: Any) -> bool:
        return isinstance(x, FakeTensor)

    def canonical(self, dtype: str) -> str:
        return canonical(dtype)

    def to_numpy(self, x: torch.Tensor) -> np.ndarray:
        return to_numpy(x)

    def cast(self, x: Any, dtype: str) -> torch.Tensor:
        return self.make(x, dtype)

    def abstract(self, fn: Callable[..., Any], specs: Sequence[KerasTensor]) -> Any:
        def run() -> Any:
            return fn(*(torch.empty(s.shape, dtype=torch_dtype(s.dtype), device=here.get()) for s in specs))

        with torch.no_grad():
            try:
                # takes a tenth of the time, but knows no other tensors beside its own
                with here(torch.device("meta")):
                    result = run()
            except Exception:
                with FakeTensorMode(allow_non_fake_inputs=True):
                    result = run()
        return tree.map_structure(
            lambda x: KerasTensor(x.shape, standardize_dtype(x.dtype)) if hasattr(x, "dtype") else x, result
        )

    def value_and_grad(
        self, fn: Callable[..., Any], variables: Sequence[Any], has_aux: bool = False
    ) -> Callable[..., tuple[Any, list[Any]]]:
        def run(*args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
            with torch.enable_grad():
                values = [v.raw.detach().requires_grad_() for v in variables]
                scope = StateScope(variables, values, state.get() or StateScope((), ()))
                with state(scope):
                    result = fn(*args, **kwargs)
                loss = result[0] if has_aux else result
                if loss.requires_grad:
                    grads = torch.autograd.grad(loss, values, allow_unused=True)
                else:
                    grads = [None] * len(values)
            for variable, value in zip(*scope.collect(), strict=True):
                variable.raw = value.detach()
            grads = [torch.zeros_like(v) if g is None else g for v, g in zip(values, grads, strict=True)]
            return tree.map_structure(_detached, result), grads

        return run

    def attribute(self, layer: Any, name: str) -> Any:
        return module.attribute(layer, name)

    def seen_as(self, kind: type) -> type:
        return kind if hasattr(kind, "__triceras_tensor__") else faces.dressed(kind, torch.nn.Module)

    def welcome(self, kind: type) -> None:
        module.teach(kind)

    def host(self, kind: str, *code: Any) -> Guest:
        return module.HostedModule(*code) if kind == "module" else super().host(kind, *code)

    def devices(self) -> list[str]:
        return [*(f"gpu:{i}" for i in range(torch.cuda.device_count())), "cpu:0"]

    def on(self, device: str) -> Any:
        return here(torch.device(device.replace("gpu", "cuda")))

    def device_of(self, x: torch.Tensor) -> str:
        return f"{'gpu' if x.is_cuda else x.device.type}:{x.device.index or 0}"

    def profile(self, folder: str) -> AbstractContextManager[Any]:
        return torch.profiler.profile(on_trace_ready=torch.profiler.tensorboard_trace_handler(folder))

    def synchronize(self, tensors: Any) -> None:
        for x in tree.flatten(tensors):
            if isinstance(x, torch.Tensor) and x.is_cuda:
                torch.cuda.current_stream(x.device).synchronize()
                return

    def compile(self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = False) -> CompiledStep:
        return CompiledStep(fn, variables, donate)

    def compile_loop(
        self, fn: Callable[..., Any], variables: Sequence[Any], donate: bool = True
    ) -> CompiledLoop:
        return CompiledLoop(self.compile(fn, variables, donate))


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, torch.Tensor) else x


ENGINE = TorchEngine()
