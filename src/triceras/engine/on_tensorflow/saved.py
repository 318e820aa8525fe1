"""SavedModels inside layers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from triceras.core.errors import ArgumentError
from triceras.engine.contract import Guest
from triceras.engine.faces import free


class HostedGraph(Guest):
    """Graphs of a SavedModel, which read and change the variables that came with them.

    Args:
        path: its folder.
        endpoint: attribute or signature to call.
        training_endpoint: the same in training; None for `endpoint`.

    Raises:
        ArgumentError: there is no such folder or endpoint.
    """

    def __init__(self, path: str, endpoint: str, training_endpoint: str | None) -> None:
        self._made_with = path, endpoint, training_endpoint
        try:
            self._loaded = tf.saved_model.load(path)
        except OSError as error:
            raise ArgumentError(f"There is no SavedModel at {path!r}: {error}") from error
        self._run = self._endpoint(endpoint)
        self._train = self._endpoint(training_endpoint) if training_endpoint else self._run
        self.state = {}
        for variable in {id(v): v for run in (self._run, self._train) for v in _variables(run)}.values():
            name = free(variable.name.partition(":")[0].replace("/", "_"), self.state)
            self.state[name] = variable, variable.trainable

    def __reduce__(self) -> Any:
        return (
            HostedGraph,
            self._made_with,
        )  # the graph is loaded anew, and gets the values of the copied variables

    def _endpoint(self, name: str) -> Any:
        found = getattr(self._loaded, name, None) or self._loaded.signatures.get(name)
        if not callable(found):
            there = [
                n for n in dir(self._loaded) if not n.startswith("_") and callable(getattr(self._loaded, n))
            ]
            there = sorted({*there, *self._loaded.signatures})
            raise ArgumentError(f"The SavedModel has no endpoint {name!r}. It has: {there}")
        return found

    def run(self, variables: dict[str, Any], inputs: Any, *, training: bool = False, **kwargs: Any) -> Any:
        for name, variable in variables.items():
            own = self.state[name][0]
            if variable.held is not own:  # it was moved, and the graph knows only its own
                with tf.init_scope():
                    own.assign(variable.held)
                variable.place = variable.engine, own, *variable.place[2:]
        run = self._train if training else self._run
        if isinstance(inputs, dict) and run in self._loaded.signatures.values():
            return run(**inputs, **kwargs)
        return run(inputs, **kwargs)


def _variables(run: Any) -> list[tf.Variable]:
    """Those that an endpoint uses."""
    functions = getattr(run, "concrete_functions", None) or [run]
    return [v for function in functions for v in function.variables]
