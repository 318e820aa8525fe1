"""What attention layers promise beyond the table: masks, scores, dropout, training, precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import triceras
from triceras import Sequential, layers, ops, use_engine
from triceras.core.masks import get_mask
from triceras.engine import selection

RANDOM = np.random.default_rng(0)
QUERY, VALUE = (RANDOM.normal(size=(2, n, 8)).astype("float32") for n in (5, 6))
Q_MASK, V_MASK = np.arange(5) < [[3], [5]], np.arange(6) < [[6], [4]]
PAIR_MASK = RANDOM.random((2, 5, 6)) > 0.4
PAIR_MASK[0, 2] = False  # a query that may look nowhere
MAKERS = {
    "MultiHeadAttention": {"num_heads": 4, "key_dim": 3},
    "GroupQueryAttention": {"num_query_heads": 4, "num_key_value_heads": 2, "head_dim": 3},
}
MASKS: list[dict[str, Any]] = [
    {"query_mask": Q_MASK},
    {"value_mask": V_MASK},
    {"key": VALUE, "key_mask": V_MASK},
    {"query_mask": Q_MASK, "value_mask": V_MASK, "use_causal_mask": True},
    {"attention_mask": PAIR_MASK},
    {"attention_mask": PAIR_MASK.astype("int32"), "value_mask": V_MASK},
    {"attention_mask": PAIR_MASK[:1], "use_causal_mask": True},
    {"attention_mask": PAIR_MASK[0]},
    {"attention_mask": PAIR_MASK[:, None]},
    {"attention_mask": np.repeat(PAIR_MASK[:, None], 4, 1)},
    {"attention_mask": PAIR_MASK[:, None, :1]},
]


@pytest.fixture
def keras() -> Any:
    """The reference, on JAX."""
    pytest.importorskip("jax")
    keras = pytest.importorskip("keras")
    if keras.config.backend() != "jax":
        pytest.skip("the reference runs on another backend than JAX")
    return keras


@pytest.fixture(params=["jax", "torch", "tensorflow", "numpy"])
def engine(request: pytest.FixtureRequest) -> Any:
    if not selection.installed(request.param):
        pytest.skip(f"needs {request.param}")
    with use_engine(request.param):
        yield request.param


def array(x: Any) -> np.ndarray:
    return ops.convert_to_numpy(x).astype("float64")


def fill(layer: Any) -> None:
    random = np.random.default_rng(1)
    layer.set_weights([random.uniform(-0.7, 0.7, tuple(w.shape)).astype("float32") for w in layer.weights])


# -- masks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", MASKS, ids=lambda g: " ".join(f"{k}{np.shape(v)}" for k, v in g.items()))
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("more", [{}, {"dropout": 0.3, "sliding_window": 2, "use_gate": True}], ids=str)
def test_masks_are_the_reference_s(
    keras: Any, name: str, given: dict[str, Any], more: dict[str, Any]
) -> None:
    with use_engine("jax"):
        ours = getattr(layers, name)(**MAKERS[name], **more)
        theirs = getattr(keras.layers, name)(**MAKERS[name], **more)
        for layer in (ours, theirs):
            layer.build(QUERY.shape, VALUE.shape)
            fill(layer)
        told = dict(given)
        if name == "MultiHeadAttention" and "query_mask" in told:  # which the reference ignores
            told["attention_mask"] = np.repeat(told.pop("query_mask")[:, :, None], 6, axis=2)
        for scores in (False, True):
            found = ours(QUERY, VALUE, return_attention_scores=scores, **given)
            expected = theirs(QUERY, VALUE, return_attention_scores=scores, **told)
            for a, b in zip(*((x if scores else [x]) for x in (found, expected)), strict=True):
                np.testing.assert_allclose(array(a), array(b), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masks", [[Q_MASK, None], [None, V_MASK], [Q_MASK, V_MASK], [Q_MASK, V_MASK, None]])
def test_masks_of_single_heads(keras: Any, name: str, causal: bool, masks: list[Any]) -> None:
    with use_engine("jax"):
        ours, theirs = (getattr(library.layers, name)() for library in (triceras, keras))
        for layer in (ours, theirs):
            layer.build([QUERY.shape, VALUE.shape])
            fill(layer)
        options = {"mask": masks, "use_causal_mask": causal, "return_attention_scores": True}
        for a, b in zip(ours([QUERY, VALUE], **options), theirs([QUERY, VALUE], **options), strict=True):
            np.testing.assert_allclose(array(a), array(b), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_engines_agree(engine: str, name: str) -> None:
    def outputs(**more: Any) -> list[np.ndarray]:
        layer = getattr(layers, name)(**MAKERS[name], **more)
        layer.build(QUERY.shape, VALUE.shape)
        fill(layer)
        return [array(layer(QUERY, VALUE, **given)) for given in ({}, {"use_causal_mask": True}, *MASKS)]

    for more in ({}, {"dropout": 0.3}):
        found = outputs(**more)
        with use_engine("numpy"):
            for a, b in zip(found, outputs(**more), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_masks_come_along(engine: str) -> None:
    x = np.array([[1, 2, 0, 0], [3, 1, 2, 0]])
    embedded = layers.Embedding(9, 8, mask_zero=True)(x)
    layer = layers.MultiHeadAttention(2, 4)
    outputs, scores = layer(embedded, embedded, return_attention_scores=True)
    assert (array(get_mask(outputs)) == (x > 0)).all()
    assert (array(scores)[0, :, :2, 2:] == 0).all() and (array(scores)[0, :, 2:] == 0).all()
    assert (array(get_mask(layer(embedded, embedded))) == (x > 0)).all()
    y = layers.Attention()([embedded, embedded])
    assert (array(y)[0, 2:] == 0).all() and (array(get_mask(y)) == (x > 0)).all()


def test_causal_attention_sees_no_future(engine: str) -> None:
    x, changed = VALUE.copy(), VALUE.copy()
    changed[:, 3:] += 1
    for layer in (
        layers.MultiHeadAttention(2, 4),
        layers.MultiHeadAttention(2, 4, dropout=0.1),
        layers.GroupQueryAttention(4, 4, 2),
    ):
        before, after = (array(layer(v, v, use_causal_mask=True)) for v in (x, changed))
        np.testing.assert_allclose(before[:, :3], after[:, :3], rtol=1e-5, atol=1e-6)
        assert abs(before[:, 3:] - after[:, 3:]).max() > 1e-3


def test_window(engine: str) -> None:
    layer = layers.MultiHeadAttention(2, 4, sliding_window=2)
    scores = array(layer(VALUE, VALUE, return_attention_scores=True)[1])
    far = abs(np.arange(6) - np.arange(6)[:, None]) > 1
    assert (scores[..., far] == 0).all() and (scores[..., ~far] > 0).all()


def test_masks_along_other_axes() -> None:
    """Attention along an axis is that of its slices, masks included; along all, that of the flat grid."""
    with use_engine("jax"):
        grid = RANDOM.normal(size=(2, 3, 4, 8)).astype("float32")
        mask = RANDOM.random((2, 3, 4)) > 0.3
        mask[..., 0] = True
        line = layers.MultiHeadAttention(2, 4, dropout=0.1)
        line.build((2, 4, 8), (2, 4, 8))
        rows = layers.MultiHeadAttention(2, 4, attention_axes=2, dropout=0.1)
        rows.build(grid.shape, grid.shape)
        flat = layers.MultiHeadAttention(2, 4)
        flat.build(grid.shape, grid.shape)
        for layer in (line, rows, flat):
            fill(layer)
        masks = {"query_mask": mask, "value_mask": mask}
        expected = [
            array(line(x, x, query_mask=m, value_mask=m, use_causal_mask=True))
            for x, m in zip(grid.swapaxes(0, 1), mask.swapaxes(0, 1), strict=True)
        ]
        found = array(rows(grid, grid, **masks, use_causal_mask=True))
        np.testing.assert_allclose(found, np.stack(expected, 1), rtol=1e-4, atol=1e-5)
        x, m = grid.reshape(2, 12, 8), mask.reshape(2, 12)
        expected = array(line(x, x, query_mask=m, value_mask=m)).reshape(grid.shape)
        np.testing.assert_allclose(array(flat(grid, grid, **masks)), expected, rtol=1e-4, atol=1e-5)


# -- dropout, flash attention, sizes -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MAKERS, "Attention"])
def test_dropout_while_training_only(engine: str, name: str) -> None:
    layer = getattr(layers, name)(**MAKERS.get(name, {}), dropout=0.5, seed=1)

    def run(**more: Any) -> list[np.ndarray]:
        found = layer(
            *([[QUERY, VALUE]] if name == "Attention" else [QUERY, VALUE]),
            return_attention_scores=True,
            **more,
        )
        return [array(x) for x in found]

    (calm, _), (first, scores), (second, _) = run(), run(training=True), run(training=True)
    np.testing.assert_array_equal(run(training=False)[0], calm)
    assert abs(first - calm).max() > 1e-3 and abs(first - second).max() > 1e-3
    if name != "Attention":  # which returns what is left after dropout
        np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-5)


def test_values_of_another_size(engine: str) -> None:
    """The same with and without scores, which are two ways of computing."""
    layer = layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=(2, 3), use_gate=True)
    plain, (told, scores) = layer(QUERY, VALUE), layer(QUERY, VALUE, return_attention_scores=True)
    assert tuple(plain.shape) == (2, 5, 2, 3) and tuple(scores.shape) == (2, 2, 5, 6)
    np.testing.assert_allclose(array(plain), array(told), rtol=1e-4, atol=1e-6)


def test_flash_attention() -> None:
    with use_engine("numpy"):
        with pytest.raises(ValueError, match="dropout"):
            layers.MultiHeadAttention(2, 4, dropout=0.1, flash_attention=True)
        layer = layers.MultiHeadAttention(2, 4, flash_attention=True)
        assert "flash_attention" not in layer.get_config()
        with pytest.raises(ValueError, match="scores"):
            layer(QUERY, VALUE, return_attention_scores=True)
        with pytest.raises(RuntimeError, match="no such kernel"):
            layer(QUERY, VALUE)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MultiHeadAttention(0, 4), "`num_heads` must be a positive integer"),
        (lambda: layers.MultiHeadAttention(2, 4, sliding_window=0), "`sliding_window`"),
        (lambda: layers.MultiHeadAttention(2, 4, dropout=1.5), "`dropout`"),
        (lambda: layers.MultiHeadAttention(2, 4, output_shape=[2, 0]), "`output_shape`"),
        (lambda: layers.GroupQueryAttention(4, 4, 3), "multiple of `num_key_value_heads`"),
        (lambda: layers.GroupQueryAttention(4, 4, 2)(QUERY[None], VALUE[None]), "batch, length, features"),
        (lambda: layers.MultiHeadAttention(2, 4, attention_axes=7)(QUERY, VALUE), "attention_axes"),
        (lambda: layers.MultiHeadAttention(2, 4)(QUERY[0], VALUE[0]), "rank, from 3 on"),
        (lambda: layers.MultiHeadAttention(2, 4)(QUERY, VALUE, QUERY), "key and a value that differ"),
        (
            lambda: layers.MultiHeadAttention(2, 4)(QUERY, VALUE, query_mask=PAIR_MASK),
            "`query_mask` of rank 2",
        ),
        (lambda: layers.MultiHeadAttention(2, 4)(QUERY, VALUE, attention_mask=Q_MASK[0]), "`attention_mask`"),
        (lambda: layers.Attention(score_mode="sum"), "score_mode"),
        (lambda: layers.Attention()(QUERY), r"\[query, value\]"),
        (lambda: layers.Attention()([QUERY]), r"\[query, value\]"),
        (lambda: layers.SpectralNormalization(layers.ReLU())(QUERY), "`kernel`"),
        (lambda: layers.SpectralNormalization(layers.Dense(2), power_iterations=0), "`power_iterations`"),
        (lambda: layers.Wrapper("dense"), "must be a layer"),
        (lambda: layers.ReversibleEmbedding(3, 2, logit_soft_cap=-1.0), "`logit_soft_cap`"),
    ],
)
def test_errors(make: Any, message: str) -> None:
    with use_engine("numpy"), pytest.raises(ValueError, match=message):
        make()


# -- use -----------------------------------------------------------------------------------------------------


def encoder(policy: str) -> Any:
    inputs = triceras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True, dtype=policy)(inputs)
    attended = layers.MultiHeadAttention(2, 4, dropout=0.1, dtype=policy)(x, x)
    x = layers.LayerNormalization(dtype=policy)(layers.add([x, attended]))
    x = layers.GroupQueryAttention(4, 4, 2, dtype=policy)(x, x, use_causal_mask=True)
    x = layers.GlobalAveragePooling1D(dtype=policy)(x)
    model = triceras.Model(inputs, layers.Dense(1, activation="sigmoid", dtype="float32")(x))
    model.compile(triceras.optimizers.Adam(0.02), "binary_crossentropy")
    return model


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_training(engine: str, policy: str) -> None:
    if engine == "numpy":
        pytest.skip("the NumPy engine doesn't train")
    triceras.utils.set_random_seed(0)
    model = encoder(policy)
    x = np.random.default_rng(0).integers(0, 9, (64, 6)).astype("int32")
    y = (x == 3).any(1).astype("float32")
    history = model.fit(x, y, batch_size=32, epochs=15, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < 0.7 * history[0]


@pytest.mark.parametrize("name", MAKERS)
def test_half_precision(engine: str, name: str) -> None:
    """The same numbers as in single precision, roughly, and scores in the compute dtype."""
    single, half = (getattr(layers, name)(**MAKERS[name], dtype=d) for d in ("float32", "mixed_bfloat16"))
    for layer in (single, half):
        layer.build(QUERY.shape, VALUE.shape)
        fill(layer)
    expected = array(single(QUERY, VALUE, attention_mask=PAIR_MASK))
    found = half(QUERY, VALUE, attention_mask=PAIR_MASK)
    assert ops.dtype(found) == "bfloat16"
    np.testing.assert_allclose(array(found), expected, rtol=0.1, atol=0.05)
    scores = half(QUERY, VALUE, return_attention_scores=True)[1]
    assert ops.dtype(scores) == "bfloat16"


def test_reversed_embedding() -> None:
    with use_engine("jax"):
        tied = layers.ReversibleEmbedding(7, 4, mask_zero=True)
        vectors = tied(np.array([[1, 2, 0]]))
        logits = array(tied(vectors, reverse=True))
        np.testing.assert_allclose(logits, array(vectors) @ array(tied.embeddings).T, rtol=1e-5)
        assert get_mask(vectors) is not None
        half = layers.ReversibleEmbedding(
            7, 4, tie_weights=False, dtype="mixed_bfloat16", reverse_dtype="float32"
        )
        vectors = half(np.array([[1, 2, 0]]))
        assert ops.dtype(vectors) == "bfloat16" and ops.dtype(half(vectors, reverse=True)) == "float32"
        capped = layers.ReversibleEmbedding(7, 4, embeddings_initializer="ones", logit_soft_cap=2.0)
        assert 1.9 < array(capped(np.ones((1, 4), "float32"), reverse=True)).max() < 2.0


def test_spectral_norm_becomes_one() -> None:
    with use_engine("jax"):
        layer = layers.SpectralNormalization(layers.Dense(5, use_bias=False), power_iterations=5)
        for _ in range(10):
            layer(QUERY, training=True)
        assert abs(np.linalg.svd(layer.kernel.numpy())[1][0] - 1) < 1e-3
        before = layer.kernel.numpy()
        layer(QUERY)
        np.testing.assert_array_equal(layer.kernel.numpy(), before)


def test_serialization() -> None:
    with use_engine("numpy"):
        model = Sequential([layers.Input((5, 8)), layers.SpectralNormalization(layers.Dense(3))])
        for layer in (model.layers[0], layers.GroupQueryAttention(4, 4, 2)):
            copy = layers.deserialize(layers.serialize(layer))
            assert type(copy) is type(layer) and layers.serialize(copy) == layers.serialize(layer)
        with pytest.raises(ValueError, match="layer"):
            layers.deserialize({"class_name": "L2", "config": {}, "module": "keras.regularizers"})
