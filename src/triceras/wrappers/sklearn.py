"""Models in pipelines, searches and cross-validation of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from triceras.core.errors import ArgumentError, ArgumentTypeError, StateError, require, shown
from triceras.core.registry import export
from triceras.models.cloning import clone_model
from triceras.models.model import Model

require("sklearn", "apps", "triceras.wrappers")
from sklearn import base  # noqa: E402 - after the check that it is there
from sklearn.preprocessing import OneHotEncoder  # noqa: E402
from sklearn.utils.multiclass import type_of_target  # noqa: E402
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data  # noqa: E402


class Estimator(base.BaseEstimator):
    """What the three wrappers share: a fresh model for each `fit`, whose history is kept.

    Attributes:
        model_: the trained model.
        history_: the logs of each epoch of `fit`, a list for each name.
    """

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def _fresh(self, x: np.ndarray, y: np.ndarray) -> Model:
        """A compiled model with new weights."""
        if isinstance(self.model, Model):
            _require_compiled(self.model)
            made = clone_model(self.model)
            made.compile_from_config(self.model.get_compile_config())
            return made
        if not callable(self.model):
            raise ArgumentTypeError(
                f"{type(self).__name__}: `model` must be a compiled model, or a function that makes one of (X, y). "
                f"Received: {shown(self.model)}"
            )
        made = self.model(x, y, **(self.model_kwargs or {}))
        if not isinstance(made, Model):
            raise ArgumentTypeError(
                f"{type(self).__name__}: the function `model` must return a model. It returned: {shown(made)}"
            )
        _require_compiled(made)
        return made

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Estimator:  # noqa: N803 - as scikit-learn calls it
        """Train a fresh model, or with `warm_start` the one of the last `fit`.

        Args:
            X: samples, (count, features).
            y: their targets.
            **kwargs: for the model's `fit`, before those of `fit_kwargs`, such as `sample_weight`.
        """
        x, y = validate_data(self, X, y, multi_output=True, y_numeric=self._numeric_targets)
        y = self._encoded(y)
        if not (self.warm_start and hasattr(self, "model_")):
            self.model_ = self._fresh(x, y)
        self.history_ = self.model_.fit(x, y, **(self.fit_kwargs or {}) | kwargs).history
        return self

    def _outputs(self, X: Any) -> np.ndarray:  # noqa: N803
        check_is_fitted(self, "model_")
        return self.model_.predict(validate_data(self, X, reset=False), verbose=0)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The targets that the trained model expects for samples."""
        return self._decoded(self._outputs(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # a training begins with other weights unless the global seed is set
        tags.target_tags.required = True
        tags.target_tags.multi_output = self._several_targets
        return tags

    # What `fit` takes as targets
    _numeric_targets = True
    _several_targets = True

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        """Targets as the model takes them."""
        return y

    def _decoded(self, outputs: np.ndarray) -> np.ndarray:
        """Targets for the model's outputs."""
        return outputs


def _require_compiled(model: Model) -> None:
    if getattr(model, "_compile_arguments", None) is None or model.optimizer is None or model.loss is None:
        raise StateError(
            f"The model {model.name!r} must be compiled with an optimizer and a loss before scikit-learn trains it."
        )


@export("wrappers.SKLearnClassifier")
class SKLearnClassifier(base.ClassifierMixin, Estimator):
    """A classifier for scikit-learn: targets of any labels, of which the model sees one-hot vectors.

    Args:
        model: a compiled model, which is cloned for each `fit`; or a function `model(X, y, **model_kwargs)` that makes
            one, with `y` one-hot. Its outputs are a number for each class, the largest one for the one expected.
        warm_start: whether `fit` goes on with the model of the last `fit`.
        model_kwargs: for that function.
        fit_kwargs: for the model's `fit`, such as `epochs` and `batch_size`.

    Raises:
        StateError: the model isn't compiled.

    >>> import triceras as keras
    >>> def make(X, y):
    ...     model = keras.Sequential([keras.layers.Dense(y.shape[1], "softmax")])
    ...     model.compile(keras.optimizers.Adam(0.1), "categorical_crossentropy")
    ...     return model
    >>> classifier = SKLearnClassifier(make, fit_kwargs={"epochs": 20, "verbose": 0})
    >>> classifier.fit([[0.0], [1.0], [9.0], [8.0]], ["low", "low", "high", "high"]).predict([[7.5]]).tolist()
    ['high']
    """

    _numeric_targets = False
    _several_targets = False

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        kind = type_of_target(y, raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            raise ArgumentError(
                f"SKLearnClassifier: `y` must be a label for each sample. Unknown label type: {kind}. For other "
                "targets there is SKLearnRegressor."
            )
        column = np.reshape(column_or_1d(y, warn=True), (-1, 1))
        if not (self.warm_start and hasattr(self, "_encoder")):
            self._encoder = OneHotEncoder(sparse_output=False, dtype="float32").fit(column)
            self.classes_ = self._encoder.categories_[0]
        if len(self.classes_) < 2:
            raise ArgumentError(
                "SKLearnClassifier: `y` must hold at least two classes. Classifier can't train when only one class "
                f"is present: {shown(self.classes_.tolist())}"
            )
        return self._encoder.transform(column)

    def _decoded(self, outputs: np.ndarray) -> np.ndarray:
        return self.classes_[outputs.argmax(-1)]

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """The model's outputs: for two classes how much more the second one has, else a column for each class."""
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs


@export("wrappers.SKLearnRegressor")
class SKLearnRegressor(base.RegressorMixin, Estimator):
    """A regressor for scikit-learn.

    Args:
        model: a compiled model, which is cloned for each `fit`; or a function `model(X, y, **model_kwargs)` that makes
            one.
        warm_start: whether `fit` goes on with the model of the last `fit`.
        model_kwargs: for that function.
        fit_kwargs: for the model's `fit`, such as `epochs` and `batch_size`.

    Raises:
        StateError: the model isn't compiled.

    >>> import triceras as keras
    >>> line = keras.Sequential([keras.layers.Dense(1)])
    >>> line.compile(keras.optimizers.SGD(0.1), "mse")
    >>> regressor = SKLearnRegressor(line, fit_kwargs={"epochs": 200, "verbose": 0})
    >>> regressor.fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]).predict([[3.0]]).round(1).tolist()
    [7.0]
    """

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        self._single = np.ndim(y) == 1
        return np.reshape(y, (len(y), -1))

    def _decoded(self, outputs: np.ndarray) -> np.ndarray:
        return np.reshape(outputs, len(outputs)) if self._single and outputs.size == len(outputs) else outputs


@export("wrappers.SKLearnTransformer")
class SKLearnTransformer(base.TransformerMixin, Estimator):
    """A transformer for scikit-learn: what the trained model makes of samples are features for the next step.

    Args:
        model: a compiled model, which is cloned for each `fit`; or a function `model(X, y, **model_kwargs)` that makes
            one.
        warm_start: whether `fit` goes on with the model of the last `fit`.
        model_kwargs: for that function.
        fit_kwargs: for the model's `fit`, such as `epochs` and `batch_size`.

    Raises:
        StateError: the model isn't compiled.

    >>> import triceras as keras
    >>> narrow = keras.Sequential([keras.layers.Dense(2)])
    >>> narrow.compile("sgd", "mse")
    >>> transformer = SKLearnTransformer(narrow, fit_kwargs={"verbose": 0})
    >>> transformer.fit_transform([[0.0, 1.0, 2.0]] * 4, [[0.0, 1.0]] * 4).shape
    (4, 2)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # a model computes in its own
        return tags

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """The trained model's outputs for samples."""
        return self.predict(X)
