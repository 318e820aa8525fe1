"""On PyTorch a model is usable wherever a `torch.nn.Module` is."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator

import numpy as np
import pytest

import triceras as keras
from triceras import layers
from triceras.core.errors import EngineError, StateError

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _engine() -> Iterator[None]:
    with keras.use_engine("torch"):
        keras.utils.set_random_seed(1)
        torch.manual_seed(1)
        yield


def make() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(2),
        ]
    )


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = make(), torch.nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))


X = torch.from_numpy(np.random.default_rng(0).normal(size=(32, 4)).astype("float32"))
PARAMETERS = [
    *("dense.kernel", "dense.bias", "batch_normalization.gamma", "batch_normalization.beta"),
    *("dense_1.kernel", "dense_1.bias"),
]
STATISTICS = ["batch_normalization.moving_mean", "batch_normalization.moving_variance"]


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool(torch.equal(a.detach(), b.detach()))


def test_what_isinstance_says() -> None:
    model = make()
    assert isinstance(model, torch.nn.Module) and isinstance(model.layers[0], torch.nn.Module)
    assert isinstance(model, keras.Sequential) and type(model) is keras.Sequential
    assert (
        model.__class__.__name__ == "Sequential" and type(model.__class__(name="again")) is keras.Sequential
    )
    assert not isinstance(model.layers[0].kernel, torch.nn.Module)
    with keras.use_engine("numpy"):
        other = make()
    assert other.__class__ is keras.Sequential and not hasattr(other, "parameters")
    assert isinstance(other.to("torch"), torch.nn.Module)


def test_names_are_the_same_in_every_instance() -> None:
    for model in (make(), make()):
        assert [name for name, _ in model.named_parameters()] == PARAMETERS
        assert sorted(model.state_dict()) == sorted(PARAMETERS + STATISTICS)
        assert [name for name, _ in model.named_buffers()] == [*STATISTICS, "dropout.random_state"]

    named = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="head"), layers.Dense(2)])
    assert list(named.state_dict()) == ["head.kernel", "head.bias", "dense.kernel", "dense.bias"]

    class Held(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.blocks = layers.Dense(2), [layers.Dense(3), layers.ReLU(), layers.Dense(4)]
            self.scale = keras.Variable(1.0, name="any")

        def call(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            for block in self.blocks:
                x = block(x)
            return x * self.scale

    held = Held()
    held(X)
    parts = [f"{part}.{name}" for part in ("first", "blocks_0", "blocks_2") for name in ("kernel", "bias")]
    assert [n for n, _ in held.named_parameters()] == ["scale", *parts]
    assert held.get_submodule("blocks_2") is held.blocks[2]


def test_optimizers_of_torch_train_it() -> None:
    net, target = Net(), X.sum(1, keepdim=True)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    assert len(list(net.parameters())) == 8
    losses = []
    net.train()
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((net(X) - target) ** 2).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert (net.body.layers[1].moving_mean.value != 0).all()


def test_train_and_eval_are_the_default_of_calls() -> None:
    net = Net()
    assert same(net.body(X), net.body(X))  # inference, until somebody says otherwise
    net.train()
    assert net.body.layers[2].training and not same(net.body(X), net.body(X))
    assert same(net.body(X, training=False), net.body(X, training=False))
    net.eval()
    assert same(net(X), net(X))
    net.train()
    assert np.array_equal(net.body.predict(X, verbose=0), net.body.predict(X, verbose=0))


def test_frozen_layers_take_no_gradients() -> None:
    net = Net()
    net.body.layers[0].trainable = False
    flags = {name: p.requires_grad for name, p in net.named_parameters()}
    assert [n for n in flags if not flags[n]] == ["body.dense.kernel", "body.dense.bias"]
    net.body.requires_grad_(False)
    assert not net.body.trainable_variables and sum(p.requires_grad for p in net.parameters()) == 2
    net.body.trainable = True
    assert all(p.requires_grad for p in net.parameters())
    late = layers.Dense(2, trainable=False)
    late(X)
    assert not late.kernel.value.requires_grad
    late.to("numpy").to("torch")
    assert not late.kernel.value.requires_grad
    statistic = net.body.layers[1].moving_mean
    statistic.trainable = True
    assert any(p is statistic.held for p in net.parameters())


def test_copies_and_files() -> None:
    net = Net()
    net.body.compile("sgd", "mse")
    net.body.predict(X, verbose=0)
    expected = net(X)
    twin = copy.deepcopy(net)
    assert same(twin(X), expected) and twin.body.layers[0].kernel is not net.body.layers[0].kernel
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
    assert same(net(X), expected) and not twin.body.predict(X, verbose=0).any()
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    for assign in (False, True):
        assert str(twin.load_state_dict(torch.load(file), assign=assign)).startswith("<All keys matched")
        assert same(twin(X), expected) and isinstance(twin.body.layers[0].kernel, keras.Variable)
        file.seek(0)
    with pytest.raises(RuntimeError, match=r"size mismatch for dense\.kernel"):
        make().load_state_dict({**make().state_dict(), "dense.kernel": torch.zeros(2, 2)})
    assert same(pickle.loads(pickle.dumps(net))(X), expected)


def test_conversions_reach_the_variables() -> None:
    net = Net().bfloat16()
    kernel = net.body.layers[0].kernel
    assert kernel.dtype == "bfloat16" and net.body.layers[0].compute_dtype == "bfloat16"
    assert net(X.bfloat16()).dtype == torch.bfloat16
    assert net.to("cpu").body.layers[0].kernel.value.device.type == "cpu"
    assert net.body.to(torch.float16).layers[0].kernel.dtype == "float16"
    with pytest.raises(StateError, match="set_floatx"):
        net.double()
    unbuilt = torch.nn.Sequential(keras.Sequential([layers.Dense(2)]), torch.nn.ReLU()).half()
    assert unbuilt(X.half()).dtype == torch.float16


def test_a_model_that_is_not_built_says_so() -> None:
    model = keras.Sequential([layers.Dense(3)])
    for ask in (lambda: torch.optim.SGD(model.parameters(), 0.1), model.state_dict):
        with pytest.raises(StateError, match="isn't built, so its parameters aren't known"):
            ask()
    model(X)
    assert len(list(model.parameters())) == 2
    assert list(layers.Dropout(0.5).parameters()) == []


def test_functional_call_and_hooks() -> None:
    net, seen = Net(), []
    expected = net(X)
    zeros = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    assert not torch.func.functional_call(net, zeros, (X,)).any() and same(net(X), expected)
    first = net.body.layers[0]
    before = first.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    after = first.register_forward_hook(lambda module, args, output: output * 0)
    first.register_full_backward_hook(lambda module, inputs, outputs: seen.append(outputs[0].shape))
    result = first(X.clone().requires_grad_())
    assert not result.any()
    result.sum().backward()
    assert seen == [(32, 4), (32, 8)]
    before.remove(), after.remove()
    assert first(X).any() and len(seen) == 2
    assert copy.deepcopy(net).body.layers[0](X).any()
    for refused in (
        lambda: first.register_buffer("more", torch.zeros(1)),
        lambda: first.add_module("more", torch.nn.ReLU()),
        lambda: first._parameters.__setitem__("more", torch.zeros(1)),
    ):
        with pytest.raises(StateError, match="add_weight"):
            refused()


def test_variables_in_functions_of_torch() -> None:
    kernel = make().layers[0].kernel
    assert torch.matmul(X, kernel).shape == (32, 8) and torch.cat([kernel, kernel]).shape == (8, 8)
    assert torch.nn.functional.linear(X, weight=kernel.T).shape == (32, 8)
    assert kernel.T.shape == (8, 4) and kernel.requires_grad and kernel.grad is None and kernel.numel() == 32
    with pytest.raises(AttributeError, match="'Variable' object has no attribute 'nothing'"):
        kernel.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'nothing'"):
        layers.Dense(2).nothing  # noqa: B018
    with keras.use_engine("numpy"):
        foreign = keras.Variable([1.0])
    with pytest.raises(EngineError, match="belongs to the engine"):
        torch.sin(foreign)


def test_a_property_keeps_its_own_error() -> None:
    class Broken(layers.Layer):
        @property
        def size(self) -> int:
            return self.units  # there is none

    with pytest.raises(AttributeError, match="units"):
        Broken().size  # noqa: B018
