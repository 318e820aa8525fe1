"""Settings as attributes and items."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from triceras.core.errors import ArgumentError
from triceras.utils import Config


def test_attributes_and_items_are_the_same():
    config = Config(a=1)
    config.b, config["c"] = 2, 3
    config.update({"d": 4}, e=5)
    assert dict(config) == config.as_dict() == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert config.pop("e") == 5 and config.pop("e", None) is None and config.get("e", 7) == 7
    del config.d, config["c"]
    assert list(config.keys()) == ["a", "b"] and config == Config(a=1, b=2) != Config(a=1)
    assert "a" in dir(config) and "a" in config and len(config) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda c: setattr(c, "a", 2),
        lambda c: c.update(a=2),
        lambda c: c.pop("a"),
        lambda c: c.__delitem__("a"),
        lambda c: delattr(c, "a"),
    ],
)
def test_frozen_settings_stay(change):
    config = Config(a=1)
    config.freeze()
    with pytest.raises(ArgumentError, match="frozen"):
        change(config)
    assert config == Config(a=1)
    config.unfreeze()
    change(config)
    assert config != Config(a=1)


def test_copies_and_json():
    config = Config(a=1, b=Config(c=[2]))
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other == config and other.b is not config.b
    assert json.loads(config.to_json()) == {"a": 1, "b": {"c": [2]}}
    with pytest.raises(ArgumentError, match="JSON"):
        Config(a=object()).to_json()


def test_unknown_settings():
    with pytest.raises(AttributeError, match=r"'z'.*\['a'\]"):
        _ = Config(a=1).z
    with pytest.raises(KeyError):
        _ = Config(a=1)["z"]
