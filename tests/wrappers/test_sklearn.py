"""Models as estimators: scikit-learn's own checks, and what its users do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import triceras
from tests.extent import EVERYTHING
from triceras import layers
from triceras.core.errors import ArgumentError, ArgumentTypeError, StateError

pytest.importorskip("sklearn")
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from triceras.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

X = np.random.default_rng(0).normal(size=(90, 3)).astype("float32")
LABELS = np.array(["low", "middle", "high"])[np.digitize(X[:, 0], [-0.4, 0.4])]


def network(X, y, loss, activation=None, units=8):  # noqa: N803
    triceras.utils.set_random_seed(1)
    made = triceras.Sequential(
        [layers.Dense(units, "relu"), layers.Dense(1 if y.ndim == 1 else y.shape[1], activation)]
    )
    # Eagerly, as hundreds of tiny trainings are over sooner than compiled
    made.compile(triceras.optimizers.Adam(0.03), loss, run_eagerly=True)
    return made


def classifier(epochs=15, **options):
    kinds = {"loss": "categorical_crossentropy", "activation": "softmax"}
    return SKLearnClassifier(
        network, model_kwargs=kinds, fit_kwargs={"epochs": epochs, "verbose": 0}, **options
    )


def estimator(kind):
    return kind(network, model_kwargs={"loss": "mse"}, fit_kwargs={"epochs": 1, "verbose": 0})


EXPECTED = {
    "check_classifiers_train": "a few epochs learn little",
    "check_regressors_train": "a few epochs learn little",
    "check_regressor_multioutput": "wants float64",
}


@pytest.fixture(autouse=True)
def quick_engine():
    with triceras.use_engine("torch"):
        yield


def checks():
    """All checks of the estimators, with names that are the same in every process."""
    made = [classifier(1)]
    if EVERYTHING:
        made += [estimator(SKLearnRegressor), estimator(SKLearnTransformer)]
    for each in made:
        found = estimator_checks_generator(each, expected_failed_checks=EXPECTED, mark="xfail")
        for number, case in enumerate(found):
            values, marks = (case.values, case.marks) if hasattr(case, "marks") else (case, ())
            name = getattr(values[1], "func", values[1]).__name__
            yield pytest.param(*values, marks=marks, id=f"{type(each).__name__}-{number}-{name}")


@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_labels_pipelines_and_searches():
    triceras.utils.set_random_seed(1)
    scores = cross_val_score(make_pipeline(StandardScaler(), classifier()), X, LABELS, cv=2)
    assert scores.mean() > 0.7
    search = GridSearchCV(classifier(), {"fit_kwargs": [{"epochs": e, "verbose": 0} for e in (1, 8)]}, cv=2)
    assert search.fit(X, LABELS).best_params_["fit_kwargs"]["epochs"] == 8
    assert set(search.predict(X)) <= set(LABELS)


@pytest.mark.parametrize("engine", ["jax", "torch", "tensorflow"])
def test_a_compiled_model_is_cloned(engine):
    with triceras.use_engine(engine):
        mine = triceras.Sequential([layers.Input((3,)), layers.Dense(1)])
        mine.compile("sgd", "mse", metrics=["mae"])
        before = mine.get_weights()
        fitted = SKLearnRegressor(mine, fit_kwargs={"epochs": 2, "verbose": 0}).fit(X, X.sum(1))
        assert list(fitted.history_) == ["loss", "mae"] and fitted.predict(X).shape == (90,)
        assert fitted.model_.engine.name == engine
        for one, other in zip(before, mine.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_warm_start_goes_on():
    warm, cold = classifier(1, warm_start=True), classifier(1)
    for kept in (warm, cold):
        first = kept.fit(X, LABELS).model_
        assert (kept.fit(X, LABELS).model_ is first) == kept.warm_start


def test_decisions():
    many = classifier(1).fit(X, LABELS)
    assert many.decision_function(X).shape == (90, 3)
    two = classifier(15).fit(X, LABELS == "low")
    scores = two.decision_function(X)
    assert scores.shape == (90,) and ((scores > 0) == two.predict(X)).all()


def test_weights_of_samples_and_several_targets():
    both = np.stack([X[:, 0], -X[:, 1]], 1)
    fitted = estimator(SKLearnRegressor).fit(X, both, sample_weight=np.ones(90))
    assert fitted.predict(X).shape == (90, 2)
    assert estimator(SKLearnTransformer).fit(X, both).transform(X).shape == (90, 2)


def test_fitted_estimators_can_be_pickled():
    fitted = classifier(1).fit(X, LABELS)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))


def test_errors_say_what_to_do():
    bare = triceras.Sequential([layers.Dense(1)])
    with pytest.raises(StateError, match="compiled"):
        SKLearnRegressor(bare).fit(X, X[:, 0])
    with pytest.raises(ArgumentTypeError, match="must return a model"):
        SKLearnRegressor(lambda *_: 1).fit(X, X[:, 0])
    with pytest.raises(ArgumentTypeError, match="`model` must be"):
        SKLearnRegressor("model").fit(X, X[:, 0])
    with pytest.raises(ArgumentError, match="one class"):
        classifier().fit(X, np.zeros(90))
    with pytest.raises(ArgumentError, match="SKLearnRegressor"):
        classifier().fit(X, X[:, 0])
