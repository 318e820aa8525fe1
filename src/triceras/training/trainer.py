"""compile, fit, evaluate, predict: written once, on the engine contract."""

from __future__ import annotations

import inspect
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from triceras.core import config, tree
from triceras.core.errors import ArgumentError, ArgumentTypeError, StateError, TricerasError
from triceras.core.spec import KerasTensor
from triceras.engine.contract import Engine
from triceras.engine.journal import Journal
from triceras.training.callbacks import CallbackList, History
from triceras.training.checks import warn_of_nonfinite
from triceras.training.feed import Feed, make_feed, split_validation, unpack_x_y_sample_weight
from triceras.training.loop import Loop
from triceras.training.text import without_text
from triceras.variable import Variable, value_and_grad, with_values


class Trainer:
    """What training adds to a layer. Models inherit it; it keeps no state but what `compile` was given."""

    optimizer: Any = None
    loss: Any = None
    history: History
    stop_training = False
    _compiled = False

    @cached_property
    def _journals(self) -> deque[tuple[str, str, Journal]]:
        """What happened to the latest steps, for `report`."""
        return deque(maxlen=64)

    # -- compile -----------------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model is trained.

        Args:
            optimizer: name or optimizer.
            loss: name, function or `Loss`; for several outputs a list or dict of them.
            loss_weights: weights of the outputs' losses, as a list or dict.
            metrics: names, functions or `Metric`s; for several outputs a list of lists or a dict.
            weighted_metrics: the same, weighted by `sample_weight` and `class_weight`.
            run_eagerly: run each step as plain Python, for debugging.
            steps_per_execution: steps after which callbacks hear of batches.
            jit_compile: "auto" or True compile each step; False runs it eagerly, as engines allow.
            auto_scale_loss: wrap the optimizer in a `LossScaleOptimizer` under the policy "mixed_float16".
        """
        from triceras import optimizers
        from triceras.training.compiled import CompiledLoss, CompiledMetrics

        if not isinstance(steps_per_execution, int) or steps_per_execution < 1:
            raise ArgumentError(
                f"`steps_per_execution` must be a positive integer. Received: {steps_per_execution!r}"
            )
        if jit_compile not in ("auto", True, False, None):
            raise ArgumentError(f'`jit_compile` must be "auto", True or False. Received: {jit_compile!r}')
        self.optimizer = optimizer = optimizers.get(optimizer)
        policy = getattr(getattr(self, "dtype_policy", None), "name", "")
        if auto_scale_loss and policy == "mixed_float16" and optimizer is not None:
            scaled = getattr(optimizers, "LossScaleOptimizer", None)
            if scaled is not None and not isinstance(optimizer, scaled):
                self.optimizer = scaled(optimizer, name="loss_scale_optimizer")
        self.loss = loss
        self.run_eagerly, self.steps_per_execution, self.jit_compile = (
            bool(run_eagerly),
            steps_per_execution,
            jit_compile,
        )
        names = getattr(self, "output_names", None)
        self._compiled_loss = (
            CompiledLoss(loss, loss_weights, output_names=names) if loss is not None else None
        )
        self._compiled_metrics = (
            CompiledMetrics(metrics, weighted_metrics, output_names=names)
            if metrics is not None or weighted_metrics is not None
            else None
        )
        from triceras.metrics import Mean

        self._loss_tracker = Mean(name="loss")
        self._compile_arguments = {
            "optimizer": self.optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
        self.stop_training = False
        self._compiled = True
        self._loops: dict[Any, Loop] = {}
        self._journals.clear()

    def __getstate__(self) -> dict[str, Any]:
        """For copies: without the compiled steps, which work on this model's variables."""
        return {k: v for k, v in self.__dict__.items() if k != "_journals"} | {"_loops": {}}

    def _require_compiled(self, method: str) -> None:
        if not self._compiled:
            raise StateError(
                f"{method}() needs to know how the model is trained. Call compile() first, for example "
                f'model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]).'
            )

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, for saved files; None if a part can't be saved."""
        from triceras.saving.objects import serialize_keras_object

        if not self._compiled:
            return None
        try:
            return {k: serialize_keras_object(v) for k, v in self._compile_arguments.items()}
        except (ArgumentError, ArgumentTypeError) as error:  # a trained model must not be lost for that
            warnings.warn(
                f"How model {self.name!r} was compiled isn't saved; compile it again after loading. {error}",
                stacklevel=3,
            )
            return None

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as a saved file says, and build the optimizer's state."""
        from triceras.saving.objects import deserialize_keras_object

        self.compile(
            **{
                k: deserialize_keras_object(v) if isinstance(v, (dict, list)) else v
                for k, v in config.items()
            }
        )
        if self.optimizer is not None and self.built:
            with self._home():
                self.optimizer.build(self.trainable_variables)

    def _settled(self, engine: Engine, device: str | None) -> dict[str, Any]:
        return super()._settled(engine, device) | {"_loops": {}}  # compiled steps stay behind

    # -- losses and metrics ------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Any]:
        """All metrics: the loss, the compiled ones, and those held by layers."""
        found = [self._loss_tracker] if self._compiled else []
        if self._compiled and self._compiled_metrics is not None:
            found += self._compiled_metrics.metrics
        held = [m for m in super().metrics if not any(m is f for f in found)]
        if self._compiled and self._compiled_loss is not None:
            held += [m for m in self._compiled_loss.metrics if not any(m is f for f in found)]
        return found + held

    @property
    def metrics_names(self) -> list[str]:
        """Names of the metrics."""
        return [m.name for m in self.metrics]

    def reset_metrics(self) -> None:
        """Start all metrics anew."""
        for m in self.metrics:
            m.reset_state()

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a batch: the compiled loss plus what layers added. Override it for a loss of your own."""
        losses = []
        if self._compiled_loss is not None:
            loss = self._compiled_loss(y, y_pred, sample_weight)
            if loss is not None:
                losses.append(loss)
        losses += self.losses
        if not losses:
            raise ArgumentError(
                "There is no loss to minimise. Give compile() a `loss`, add one with add_loss() in a layer, or "
                "override compute_loss()."
            )
        total = losses[0]
        for loss in losses[1:]:
            total = total + loss
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Update the compiled metrics with a batch and return all results. Override it for metrics of your own."""
        if self._compiled_metrics is not None:
            self._compiled_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """Results of all metrics by name."""
        results: dict[str, Any] = {}
        for m in self.metrics:
            if self._compiled_metrics is not None and any(m is c for c in self._compiled_metrics.metrics):
                continue
            value = m.result()
            results.update(value if isinstance(value, dict) else {m.name: value})
        if self._compiled_metrics is not None:
            results.update(self._compiled_metrics.result())
        return results

    def _listed(self, logs: dict[str, Any]) -> Any:
        """Logs as a list, or a single number: the loss, the layers' metrics and single losses, the others by name."""
        compiled = [] if self._compiled_metrics is None else self._compiled_metrics.metrics
        first = [m.name for m in self.metrics if not any(m is c for c in compiled)]
        names = [n for n in first if n in logs] + sorted(n for n in logs if n not in first)
        values = [logs[n] for n in names]
        return values[0] if len(values) == 1 else values

    # -- steps -------------------------------------------------------------------------------------------------------

    def train_step(self, data: Any, *batch: Any) -> Any:
        """One step on a batch `(x, y, sample_weight)`. Override it for training of your own, on every engine.

        The step has another form too, `train_step(state, data)`, which works on values and may be what you override: it
        returns its logs and the new state. The state is a tuple of lists, the values of `trainable_variables`,
        `non_trainable_variables`, `optimizer.variables` and `metrics_variables`. So it is with `test_step`, whose state
        has no optimizer, and with `predict_step`, whose state is that of the layers, and which returns only the
        non-trainable values.
        """
        if batch:
            return self._on_values("train", data, *batch)
        x, y, sample_weight = unpack_x_y_sample_weight(data)

        def forward() -> tuple[Any, Any]:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True)
            scaled = loss if self.optimizer is None else self.optimizer.scale_loss(loss)
            return scaled, (loss, y_pred)

        weights = self.trainable_variables
        if weights:
            (_, (loss, y_pred)), gradients = value_and_grad(forward, weights, has_aux=True)()
            self.optimizer.apply(gradients, weights)
        else:
            _, (loss, y_pred) = forward()
        self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any, *batch: Any) -> Any:
        """One step of evaluation on a batch `(x, y, sample_weight)`."""
        if batch:
            return self._on_values("test", data, *batch)
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
        self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any, *batch: Any) -> Any:
        """The outputs for a batch."""
        if batch:
            return self._on_values("predict", data, *batch)
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)

    def compute_loss_and_updates(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        metrics_variables: Sequence[Any],
        x: Any,
        y: Any,
        sample_weight: Any,
        training: bool = False,
        optimizer_variables: Sequence[Any] | None = None,
    ) -> tuple[Any, tuple[Any, ...]]:
        """The loss of a batch for given values of all variables, as `jax.value_and_grad` takes it.

        Returns:
            The loss as the optimizer scales it; and the unscaled loss, the predictions, and the new values of
            `non_trainable_variables` and `metrics_variables`.
        """

        def run() -> tuple[Any, ...]:
            y_pred = self(x, training=training)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
            return (
                self.optimizer.scale_loss(loss) if training and self.optimizer is not None else loss,
                loss,
                y_pred,
            )

        groups = self._groups("train")
        values = (trainable_variables, non_trainable_variables, optimizer_variables, metrics_variables)
        given = {
            name: (variables, value)
            for (name, variables), value in zip(groups.items(), values, strict=True)
            if value is not None
        }
        with self._home():
            (scaled, loss, y_pred), after = with_values(run, **given)
        self._clear_losses()
        updated = dict(zip(given, after, strict=True))
        return scaled, (loss, y_pred, updated["non_trainable_variables"], updated["metrics_variables"])

    def _groups(self, mode: str) -> dict[str, list[Variable]]:
        """The variables whose values are the state of a step in its form for values."""
        found = {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": [] if self.optimizer is None else self.optimizer.variables,
            "metrics_variables": self.metrics_variables,
        }
        unused = {
            "train": (),
            "test": ("optimizer_variables",),
            "predict": ("optimizer_variables", "metrics_variables"),
        }
        return {name: variables for name, variables in found.items() if name not in unused[mode]}

    def _on_values(self, mode: str, state: Sequence[Any], data: Any) -> tuple[Any, Any]:
        """A step of ours in its form for values."""
        groups = self._groups(mode)
        if len(state) != len(groups):
            raise ArgumentError(f"`state` of {mode}_step() must hold lists of values of {', '.join(groups)}.")
        given = {name: (v, values) for (name, v), values in zip(groups.items(), state, strict=True)}
        with self._home():
            result, updated = with_values(lambda: getattr(Trainer, f"{mode}_step")(self, data), **given)
        self._clear_losses()
        return result, updated[1] if mode == "predict" else tuple(updated)

    def _step_of(self, mode: str) -> Callable[[Any], Any]:
        """The step of a mode as a function of a batch that reads and assigns variables."""
        step = getattr(self, f"{mode}_step")
        plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(step).parameters.values()
        if sum(p.kind in plain and p.default is p.empty for p in parameters) < 2:
            return step

        def run(batch: Any) -> Any:
            groups = list(self._groups(mode).values())
            result, updated = step(tuple([v.value for v in variables] for variables in groups), batch)
            pairs = [(groups[1], updated)] if mode == "predict" else zip(groups, updated, strict=True)
            for variables, values in pairs:
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
            return result

        return run

    def _state(self, mode: str) -> list[Variable]:
        found = {id(v): v for v in self.variables}
        if mode != "predict":
            found |= {id(v): v for m in self.metrics for v in m.variables}
        if mode == "train" and self.optimizer is not None:
            found |= {id(v): v for v in self.optimizer.variables}
        return list(found.values())

    def _loop(self, mode: str, prepare: Callable[[Any], Any] | None = None) -> Loop:
        """The compiled step of a mode; made again when what is trained changed, or something was moved away.

        `prepare` is what the step does with a batch first, as a feed says.
        """
        loops = self.__dict__.setdefault("_loops", {})
        eager = "run_eagerly=True" if getattr(self, "run_eagerly", False) else ""
        if not eager and getattr(self, "jit_compile", "auto") is False:
            eager = "jit_compile=False"
        key = ((mode, prepare), self.engine.name, eager)
        if mode == "train":  # what is trained, and by which schedule, is fixed in the compiled step
            rate = getattr(self.optimizer, "_rate", None)
            key += (id(rate), *map(id, self.trainable_variables))
        found = loops.get(key)
        if found is None or any(v.engine is not self.engine for v in found.state):
            step = self._step_of(mode)

            def run(*batch: Any) -> Any:
                result = step(batch if prepare is None else prepare(batch))
                self._clear_losses()
                return result

            old = next((k for k in loops if k[0] == (mode, prepare)), None)
            loops.pop(old, None)
            check = (lambda batch: None) if mode == "predict" else self._check
            state, own = self._state(mode), {id(v) for v in self.variables}
            for v in state:  # metrics and optimizers that were made elsewhere come along
                if id(v) not in own:
                    v.move(self.engine, self.device)
            why = "another way to run" if old and old[2] != key[2] else "another set of weights is trained"
            why = "" if old in (None, key) else why
            found = loops[key] = Loop(self.engine, run, state, mode, eager, check, why)
            self._journals.extend(found.journals)
        return found

    # -- building ----------------------------------------------------------------------------------------------------

    def _ensure_built(self, batch: Any, mode: str) -> None:
        """Make weights, metrics and optimizer state from the shapes of one batch, without computing on it."""
        x, y, sample_weight = unpack_x_y_sample_weight(batch)
        metrics, loss = getattr(self, "_compiled_metrics", None), getattr(self, "_compiled_loss", None)
        unbuilt = (
            [part for part in (metrics, loss) if part is not None and not part.built]
            if mode != "predict"
            else []
        )
        if not all(layer.built for layer in self._flatten_layers()) or unbuilt:
            specs = tree.map_structure(_spec, (x, y, sample_weight))
            try:
                y_pred = self(specs[0], training=False)
            except (TypeError, AttributeError, NotImplementedError):  # the body needs values
                few = tree.map_structure(lambda a: a if a is None else self.engine.make(a[:1]), x)
                try:
                    y_pred = self(few, training=False)
                except NotImplementedError:  # without `call`, the step uses the layers in a way of its own
                    if getattr(type(self), f"{mode}_step") is getattr(Trainer, f"{mode}_step"):
                        raise
                    return
            for part in unbuilt:
                part.build(specs[1], y_pred)
            self._clear_losses()
        if mode == "train" and self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def _forget_targets(self) -> None:
        """After data that didn't fit: what its shapes said about losses and metrics doesn't hold for the next data."""
        for part in (self._compiled_loss, self._compiled_metrics):
            if part is not None:
                part.built = False
        self._loops.clear()

    def _check(self, batch: Any) -> None:
        """Look at targets on the host for what a compiled step couldn't tell."""
        if self._compiled_loss is not None and len(batch) > 1:
            self._compiled_loss.check(batch[1])

    @property
    def _before_steps(self) -> Callable[[Any], Any] | None:
        """What makes numbers of inputs that hold text, on the host; None where the model takes no text."""
        return None

    def _numbers(self, x: Any) -> Any:
        """A batch of inputs without text."""
        before = self._before_steps
        return x if before is None else before(x)

    def _feed(self, x: Any, y: Any = None, sample_weight: Any = None, **options: Any) -> Feed:
        """The feed for some data."""
        before = self._before_steps
        if before is not None:
            x, y, sample_weight, options = without_text(before, x, y, sample_weight, options)
        return make_feed(x, y, sample_weight, **options)

    # -- the three runs ----------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        engine: str | None = None,
        balance: bool = False,
    ) -> History:
        """Train the model.

        Args:
            x: inputs: arrays or tensors of any engine, lists or dicts of them, data frames, a generator, a `PyDataset`,
                a torch `DataLoader` or a `tf.data.Dataset` (the last four give y and weights too).
            y: targets.
            batch_size: samples a step; 32 if not given.
            epochs: number of the last epoch.
            verbose: 0 silent, 1 progress, 2 a line an epoch, "auto".
            callbacks: callbacks or a `CallbackList`.
            validation_split: fraction at the end of the data that is held out.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or any source that `x` may be.
            shuffle: whether each epoch has another order, a function of the seed and the epoch.
            class_weight: `{class: weight}` for the loss.
            sample_weight: a weight for each sample.
            initial_epoch: number of the first epoch.
            steps_per_epoch: steps an epoch, for endless sources.
            validation_steps: steps of a validation run.
            validation_batch_size: samples a validation step.
            validation_freq: validate every so many epochs, or after the epochs of a list (counted from 1).
            engine: move the model there first; "auto" times some steps on each engine that is installed, and goes on
                with the fastest.
            balance: draw the samples of each epoch so that all classes come equally often, whatever their sizes.
                The classes are those of `y`, or of a data set with an attribute `labels`.

        Returns:
            The `History` with what was logged for each epoch.
        """
        self._require_compiled("fit")
        if engine not in (None, "auto"):
            self.to(engine)
        if not self.engine.differentiates and engine != "auto":
            self.engine.value_and_grad(lambda: None, [])  # raises, and says what to do
        epochs = _capped(epochs, config.max_epochs(), initial_epoch)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split_validation((x, y, sample_weight), validation_split)
        with self._home():
            feed = self._feed(
                x,
                y,
                sample_weight,
                batch_size=batch_size,
                steps=steps_per_epoch,
                shuffle=shuffle,
                class_weight=class_weight,
                balance=balance,
            )
            validation: Feed | None = None
            if validation_data is not None:
                vx, vy, vw = _validation_parts(validation_data)
                validation = self._feed(vx, vy, vw, batch_size=validation_batch_size, steps=validation_steps)
        if engine == "auto":
            self._choose_engine(feed, initial_epoch, callbacks, verbose)
        self.stop_training = False
        with self._home():
            try:
                return self._fit(feed, validation, epochs, initial_epoch, verbose, callbacks, validation_freq)
            except TricerasError:
                self._forget_targets()
                raise
            finally:
                for part in (feed, validation, *self._loops.values()):
                    if part is not None:
                        part.close()

    def _choose_engine(self, feed: Feed, epoch: int, callbacks: Any, verbose: Any) -> None:
        from triceras.training.auto import choose

        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(callbacks)
        with self._home():
            self._ensure_built(feed.example(epoch), "train")
        choose(self, feed, epoch, callbacks.listens_to_batches("train"), verbose != 0)

    def _fit(
        self,
        feed: Feed,
        validation: Feed | None,
        epochs: int,
        initial_epoch: int,
        verbose: Any,
        callbacks: Any,
        frequency: Any,
    ) -> History:
        self._ensure_built(feed.example(initial_epoch), "train")
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                model=self,
                verbose=verbose,
                epochs=epochs,
                steps=feed.steps,
            )
        loop = self._loop("train", feed.prepare)
        self._initial_epoch = initial_epoch
        callbacks.on_train_begin()  # which may go on with an interrupted training
        logs: dict[str, Any] = {}
        last_loss = 0.0
        for epoch in range(self._initial_epoch, epochs):
            self.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            logs = loop.epoch(feed, epoch, callbacks, self)
            if feed.exhausted and not logs:  # the feed has said so
                break
            if np.isfinite(last_loss):
                warn_of_nonfinite(self, feed, epoch, logs)
            last_loss = logs.get("loss", 0.0)
            if validation is not None and _is_due(epoch, frequency):
                results = self._evaluate(validation, callbacks)
                logs |= {f"val_{k}": v for k, v in results.items()}
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        if self.optimizer is not None and logs:
            self.optimizer.finalize_variable_values(self.trainable_variables)
        callbacks.on_train_end(logs)
        return self.history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Loss and metrics on data.

        Args:
            x: inputs, as for `fit`.
            y: targets.
            batch_size: samples a step; 32 if not given.
            verbose: 0 silent, 1 progress, 2 one line, "auto".
            sample_weight: a weight for each sample.
            steps: steps of the run, for endless sources.
            callbacks: callbacks or a `CallbackList`.
            return_dict: return a dict by name instead of a list.

        Returns:
            The loss, or a list of the loss and the metrics, or a dict.
        """
        self._require_compiled("evaluate")
        if kwargs:
            raise ArgumentTypeError(f"evaluate() got unknown arguments: {sorted(kwargs)}")
        with self._home():
            feed = self._feed(x, y, sample_weight, batch_size=batch_size, steps=steps)
            try:
                self._ensure_built(feed.example(), "test")
                if not isinstance(callbacks, CallbackList):
                    callbacks = CallbackList(
                        callbacks,
                        add_progbar=verbose != 0,
                        model=self,
                        verbose=verbose,
                        epochs=1,
                        steps=feed.steps,
                    )
                results = self._evaluate(feed, callbacks)
            except TricerasError:
                self._forget_targets()
                raise
            finally:
                feed.close()
                for loop in self._loops.values():
                    loop.close()
        if return_dict:
            return results
        return self._listed(results)

    def _evaluate(self, feed: Feed, callbacks: CallbackList) -> dict[str, Any]:
        self.reset_metrics()
        callbacks.on_test_begin()
        logs = self._loop("test", feed.prepare).epoch(feed, 0, callbacks, self)
        callbacks.on_test_end(logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Outputs for inputs, as NumPy arrays in the structure of the model's outputs.

        Args:
            x: inputs, as for `fit`.
            batch_size: samples a step; 32 if not given.
            verbose: 0 silent, 1 progress, 2 one line, "auto".
            steps: steps of the run, for endless sources.
            callbacks: callbacks or a `CallbackList`.
        """
        with self._home():
            feed = self._feed(x, batch_size=batch_size, steps=steps)
            try:
                self._ensure_built(feed.example(), "predict")
                if not isinstance(callbacks, CallbackList):
                    callbacks = CallbackList(
                        callbacks,
                        add_progbar=verbose != 0,
                        model=self,
                        verbose=verbose,
                        epochs=1,
                        steps=feed.steps,
                    )
                callbacks.on_predict_begin()
                outputs = self._loop("predict", feed.prepare).collect(feed, callbacks, self)
                callbacks.on_predict_end()
            finally:
                feed.close()
        return outputs

    # -- single batches ----------------------------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step on one batch; returns the running metrics."""
        self._require_compiled("train_on_batch")
        if sample_weight is not None and class_weight is not None:
            raise ArgumentError("Give train_on_batch() either `sample_weight` or `class_weight`, not both.")
        return self._on_batch("train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluate one batch; returns the running metrics."""
        self._require_compiled("test_on_batch")
        return self._on_batch("test", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch, as NumPy arrays."""
        with self._home():
            batch = _one_batch(self._numbers(x))
            self._ensure_built(batch, "predict")
            outputs = self._loop("predict").step(batch)
            return tree.map_structure(self.engine.to_numpy, outputs)

    def _on_batch(
        self, mode: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool
    ) -> Any:
        with self._home():
            batch = _one_batch(self._numbers(x), y, sample_weight, class_weight)
            self._ensure_built(batch, mode)
            logs = {k: float(self.engine.to_numpy(v)) for k, v in self._loop(mode).step(batch).items()}
        if return_dict:
            return logs
        return self._listed(logs)


def _one_batch(x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None) -> Any:
    feed = make_feed(x, y, sample_weight, batch_size=2**31 - 1, class_weight=class_weight)
    return next(iter(feed.epoch(0)))


def _batch_size(x: Any) -> Any:
    return next(t.shape[0] for t in tree.flatten(x) if t is not None)


def _spec(value: Any) -> Any:
    if value is None or isinstance(value, KerasTensor):
        return value
    return KerasTensor(
        (None, *value.shape[1:]), str(np.dtype(value.dtype)) if isinstance(value, np.ndarray) else value.dtype
    )


def _validation_parts(data: Any) -> tuple[Any, Any, Any]:
    return unpack_x_y_sample_weight(data) if isinstance(data, (tuple, list)) else (data, None, None)


def _is_due(epoch: int, frequency: int | Sequence[int]) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return (epoch + 1) in frequency


def _capped(epochs: int, most: int | None, initial: int) -> int:
    if not isinstance(epochs, (int, np.integer)):
        raise ArgumentTypeError(f"`epochs` must be an integer. Received: {epochs!r}")
    if epochs < 0:
        raise ArgumentError(f"`epochs` can't be negative. Received: {epochs}")
    return int(epochs) if most is None else min(int(epochs), initial + most)
