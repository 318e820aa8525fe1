"""Tokens as indices of a vocabulary, which is given or learned from data, and back."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras import ops
from triceras.core.config import floatx
from triceras.core.dtypes import limits, standardize_dtype
from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError, StateError, shown
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments
from triceras.layers.encoding.base import EncodingLayer, encoded, encoded_shape, integers
from triceras.layers.encoding.hashing import key_of
from triceras.utils.hashing import hash_integers, hash_texts
from triceras.utils.moments import inputs_of
from triceras.utils.text import as_text

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
VOCABULARY = "vocabulary.txt"
NOTHING = -1  # the index of what leaves no trace in vectors


class IndexLookup(EncodingLayer):
    """Base of the layers that look tokens up in a vocabulary.

    The indices are those of the mask token (0, if there is one and the mode is "int"), then of tokens that aren't in
    the vocabulary (`num_oov_indices`), then of the vocabulary.
    """

    kind: str  # the dtype of tokens
    exact = True

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        oov_method: str,
        salt: Any,
        **kwargs: Any,
    ) -> None:
        self._expected_size = kwargs.pop("vocabulary_size", None)
        super().__init__(**kwargs)
        self.output_mode = arguments.choice(self, "output_mode", output_mode, MODES)
        self.max_tokens = (
            None if max_tokens is None else arguments.count(self, "max_tokens", max_tokens, least=2)
        )
        self.num_oov_indices = arguments.count(self, "num_oov_indices", num_oov_indices, least=0)
        self.invert, self.pad_to_max_tokens = bool(invert), bool(pad_to_max_tokens)
        self.mask_token, self.oov_token = mask_token, oov_token
        self.oov_method, self._key = oov_method, key_of(self, salt)
        self.salt = self._key and list(self._key)
        self.sparse = self.dense_only(sparse)
        if self.invert and self.output_mode != "int":
            raise self._wrong(
                f'with `invert=True` the `output_mode` must be "int". Received: {output_mode!r}'
            )
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise self._wrong("`pad_to_max_tokens=True` needs `max_tokens`, the length of the vectors.")
        if idf_weights is not None and self.output_mode != "tf_idf":
            raise self._wrong(
                f'`idf_weights` are for `output_mode="tf_idf"`. Received: output_mode={output_mode!r}'
            )
        self._vocabulary: list[Any] | None = None
        self._weights: NDArray[np.float32] | None = None
        self.input_vocabulary = vocabulary
        self.input_idf_weights = (
            None if idf_weights is None else [float(w) for w in ops.convert_to_numpy(idf_weights)]
        )
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, self.input_idf_weights)

    def _wrong(self, what: str) -> ArgumentError:
        return ArgumentError(f"{type(self).__name__}(): {what}")

    # -- the vocabulary --------------------------------------------------------------------------------------

    @property
    def _specials(self) -> list[Any]:
        """The tokens that come before the vocabulary."""
        masked = self.mask_token is not None and self.output_mode == "int"
        return [self.mask_token] * masked + [self.oov_token] * self.num_oov_indices

    @property
    def _first_unknown(self) -> int:
        return len(self._specials) - self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens in the order of their indices.

        Args:
            include_special_tokens: whether with the mask token, and the token that stands for unknown ones.
        """
        if self._vocabulary is None:
            return []
        return (self._specials if include_special_tokens else []) + self._vocabulary

    def vocabulary_size(self) -> int:
        """How many indices there are."""
        if self._vocabulary is None and self._expected_size is not None:
            return self._expected_size
        return len(self._specials) + len(self._vocabulary or ())

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the tokens, instead of adapting the layer to data.

        Args:
            vocabulary: tokens in an array or list, with or without the special ones at its start; or the path of a
                text file with one in each line.
            idf_weights: for the mode "tf_idf" a weight of each token, without the special ones.

        Raises:
            ArgumentError: a token stands there twice, or there are more than `max_tokens`.
        """
        if isinstance(vocabulary, (str, os.PathLike)):
            text = self._read(Path(vocabulary)).replace("\r\n", "\n")
            vocabulary = text.removesuffix("\n").split("\n")
        tokens = self._as_tokens(vocabulary)
        if not tokens:
            raise self._wrong("the vocabulary is empty. At least one token is needed.")
        weighted = self.output_mode == "tf_idf"
        if weighted is not (idf_weights is not None):
            raise self._wrong(
                '`output_mode="tf_idf"` needs `idf_weights` with the vocabulary, or adapt(data).'
                if weighted
                else '`idf_weights` are for `output_mode="tf_idf"`.'
            )
        specials = self._specials
        if tokens[: len(specials)] == specials:
            tokens = tokens[len(specials) :]
        twice = [token for token, count in Counter(tokens).items() if count > 1]
        if twice:
            raise self._wrong(f"the vocabulary must hold each token once. More than once: {shown(twice)}")
        misplaced = [x for x in (self.mask_token, self.oov_token) if x is not None and x in tokens]
        if misplaced and (self.num_oov_indices or misplaced[0] == self.mask_token):
            raise self._wrong(
                f"the vocabulary may have the special tokens {specials} at its start, all of them, or none. "
                f"Received {misplaced} elsewhere in: {shown(tokens)}"
            )
        if self.max_tokens is not None and len(specials) + len(tokens) > self.max_tokens:
            raise self._wrong(
                f"the vocabulary has {len(specials) + len(tokens)} tokens with the special ones, more than "
                f"`max_tokens`, {self.max_tokens}."
            )
        if weighted:
            given = ops.convert_to_numpy(idf_weights).astype("float32").reshape(-1)
            if len(given) != len(tokens):
                raise self._wrong(f"there are {len(given)} `idf_weights` for {len(tokens)} tokens.")
            self._weigh(given)
        self._settle(tokens)

    def _weigh(self, weights: NDArray[np.float32]) -> None:
        """Set the weights of all indices: unknown tokens have the mean."""
        self._weights = np.concatenate([np.full(self.num_oov_indices, weights.mean(), "float32"), weights])

    def _settle(self, tokens: list[Any] | None) -> None:
        self._vocabulary, self._expected_size = tokens, None
        self.__dict__.pop("_indices", None)
        self.__dict__.pop("_ordered", None)

    def _read(self, path: Path) -> str:
        if not path.is_file():
            raise self._wrong(f"there is no file {str(path)!r} to read the vocabulary from.")
        try:
            return path.read_bytes().decode(self.encoding)
        except UnicodeDecodeError as error:
            raise FileFormatError(f"{path} is no text in {self.encoding}: {error}") from error

    def _as_tokens(self, vocabulary: Any) -> list[Any]:
        raise NotImplementedError

    # -- learning it -----------------------------------------------------------------------------------------

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary from data, anew: the most frequent tokens first.

        Args:
            data: an array or tensor, nested lists, or batches: a `PyDataset`, a `tf.data.Dataset`, a `DataLoader`
                or any other iterable of arrays. Of batches that are tuples the first entry counts.
            steps: how many batches to take; all if not given.

        Raises:
            StateError: the layer was given its vocabulary.
        """
        self._refuse_if_given("adapt")
        self.reset_state()
        for batch in islice(inputs_of(data, f"{type(self).__name__}.adapt", self._as_batch), steps):
            self.update_state(batch)
        self.finalize_state()

    def _refuse_if_given(self, method: str) -> None:
        if self.input_vocabulary is not None:
            raise StateError(
                f"Layer {self.path!r} ({type(self).__name__}) was given its vocabulary, so {method}() would have no "
                "effect. Make it without `vocabulary`."
            )

    def _as_batch(self, value: Any, name: str) -> NDArray[Any]:
        raise NotImplementedError

    def update_state(self, data: Any) -> None:
        """Take a batch into account, for `finalize_state`."""
        self._refuse_if_given("update_state")
        batch = self._as_batch(data, f"{type(self).__name__}.update_state")
        rows = batch.reshape(-1, 1) if batch.ndim < 2 else batch.reshape(len(batch), -1)
        self.count([row.tolist() for row in rows])

    def count(self, rows: Sequence[Sequence[Any]]) -> None:
        """Count the tokens of documents."""
        for row in rows:
            self._counts.update(row)
        if self.output_mode == "tf_idf":
            for row in rows:
                self._documents.update(set(row))
            self._rows += len(rows)

    def finalize_state(self) -> None:
        """Set the vocabulary from all batches since `reset_state`."""
        if not self._counts:
            return
        for special in (self.mask_token, self.oov_token):
            self._counts.pop(special, None)
        # equally frequent ones in falling order
        tokens = sorted(self._counts, key=lambda token: (self._counts[token], token), reverse=True)
        if self.max_tokens is not None:
            tokens = tokens[: self.max_tokens - len(self._specials)]
        if self.output_mode == "tf_idf":
            found = np.array([self._documents[token] for token in tokens], "float32")
            self._weigh(np.log(1 + self._rows / (1 + found)).astype("float32"))
        self._settle(tokens)

    def reset_state(self) -> None:
        """Forget what `update_state` was given."""
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] = Counter()
        self._rows = 0

    # -- calling ---------------------------------------------------------------------------------------------

    @cached_property
    def _indices(self) -> dict[Any, int]:
        """The index of each token."""
        found = {token: i for i, token in enumerate(self._vocabulary or (), len(self._specials))}
        if self.mask_token is not None:
            found[self.mask_token] = 0 if self.output_mode == "int" else NOTHING
        return found

    def find(self, tokens: NDArray[Any]) -> NDArray[np.int64]:
        """The indices of tokens in an array on the host."""
        self._require_vocabulary()
        get = self._indices.get
        flat = (tokens.astype(np.int64) if tokens.dtype.kind == "f" else tokens).reshape(-1).tolist()
        found = np.fromiter((get(token, NOTHING - 1) for token in flat), np.int64, len(flat))
        unknown = np.flatnonzero(found < NOTHING)
        if len(unknown):
            found[unknown] = self._of_unknown(np.array(flat, object)[unknown])
        return found.reshape(tokens.shape)

    def _of_unknown(self, tokens: NDArray[Any]) -> Any:
        if self.num_oov_indices == 0:
            raise ArgumentError(
                f"Layer {self.path!r} ({type(self).__name__}) has no index for tokens that aren't in its "
                f"vocabulary, as num_oov_indices=0. Received such: {shown(sorted(set(tokens.tolist()))[:10])}"
            )
        if self.num_oov_indices == 1:
            return self._first_unknown
        if self.oov_method == "floormod":
            return self._first_unknown + tokens.astype(np.int64) % self.num_oov_indices
        return self._first_unknown + (hash_texts(tokens, self._key) % self.num_oov_indices).astype(np.int64)

    def tokens_of(self, indices: NDArray[Any]) -> NDArray[Any]:
        """The tokens of indices in an array on the host."""
        self._require_vocabulary()
        known = np.array([*self._specials, *self._vocabulary, self.oov_token], object)  # type: ignore[misc]
        places = np.asarray(indices).astype(np.int64)
        outside = (places < 0) | (places >= len(known) - 1)
        return known[np.where(outside, len(known) - 1, places)]

    def _require_vocabulary(self) -> None:
        if self._vocabulary is None:
            raise StateError(
                f"Layer {self.path!r} ({type(self).__name__}) has no vocabulary yet: call adapt(data) or "
                "set_vocabulary(tokens) before."
            )

    def call(self, inputs: Any) -> Any:
        if self.invert:
            return self.from_host(self.tokens_of, [inputs], tuple(inputs.shape), self.kind)
        return self.encoded(self.from_host(self.find, [inputs], tuple(inputs.shape)))

    def encoded(self, indices: Any) -> Any:
        """Indices as the output mode says."""
        if self.output_mode == "tf_idf":
            counts = encoded(indices, "count", self._depth, self.output_dtype)
            extra = self._depth - len(self._weights)  # type: ignore[arg-type]
            return ops.multiply(counts, np.pad(self._weights, (0, extra)))  # type: ignore[arg-type]
        return encoded(indices, self.output_mode, self._depth, self.output_dtype)

    @property
    def _depth(self) -> int | None:
        """The length of vectors."""
        if self.pad_to_max_tokens:
            return self.max_tokens
        unknown = self._vocabulary is None and self._expected_size is None
        return None if unknown else self.vocabulary_size()

    @property
    def output_dtype(self) -> str:
        if self.invert:
            return self.kind if self.kind == "string" else integers()
        return integers() if self.output_mode == "int" else floatx()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output's shape for an input of this shape."""
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        return encoded_shape(tuple(input_shape), mode, self._depth)

    # -- configs and files -----------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        given = self.input_vocabulary
        if given is not None and not isinstance(given, str):
            given = os.fspath(given) if isinstance(given, os.PathLike) else self._as_tokens(given)
        size = None if self._vocabulary is None and self._expected_size is None else self.vocabulary_size()
        return super().get_config() | {
            "vocabulary": given,
            "idf_weights": self.input_idf_weights,
            "vocabulary_size": size,
            "oov_method": self.oov_method,
            "salt": self.salt,
        }

    def get_build_config(self) -> dict[str, Any] | None:
        return {}

    def save_own_variables(self, store: Any) -> None:
        """Put the weights of the mode "tf_idf" into a store."""
        if self._weights is not None:
            store["idf_weights"] = self._weights

    def load_own_variables(self, store: Any) -> None:
        """Take the weights of the mode "tf_idf" from a store."""
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self._weights = np.asarray(store["idf_weights"], "float32")[: self.vocabulary_size()]

    def save_assets(self, dir_path: str | os.PathLike[str]) -> None:
        """Write the vocabulary into a folder, unless the config holds it."""
        if self.input_vocabulary is not None or self._vocabulary is None:
            return
        lines = [str(token) for token in self.get_vocabulary()]
        broken = [line for line in lines if "\n" in line]
        if broken:
            raise ArgumentError(
                f"Layer {self.path!r}: a vocabulary is stored with a token in each line, so no token can hold a line "
                f"break. Found: {shown(broken[:5])}. Give the tokens as `vocabulary` to keep them in the config."
            )
        Path(dir_path, VOCABULARY).write_bytes("\n".join(lines).encode(self.encoding, "surrogateescape"))

    def load_assets(self, dir_path: str | os.PathLike[str]) -> None:
        """Read the vocabulary from a folder."""
        path = Path(dir_path, VOCABULARY)
        if self.input_vocabulary is not None or not path.is_file():
            return
        tokens = self._as_tokens(self._read(path).split("\n"))
        specials = self._specials
        if tokens[: len(specials)] != specials:
            raise FileFormatError(
                f"The vocabulary of layer {self.path!r} must begin with {specials}. Received: {shown(tokens)}"
            )
        self._settle(tokens[len(specials) :])


@export("layers.StringLookup")
class StringLookup(IndexLookup):
    """Replaces strings by their indices in a vocabulary, which is given, or which `adapt(data)` learns.

    Args:
        max_tokens: the largest vocabulary, with the special tokens; no limit if not given.
        num_oov_indices: how many indices there are for unknown strings; a hash decides between several. With 0 such
            are an error.
        mask_token: a string with the index 0, which leaves no trace in vectors, such as "".
        oov_token: the string that stands for unknown ones in `get_vocabulary` and with `invert`.
        vocabulary: the strings, or the path of a text file with one in each line.
        idf_weights: for the mode "tf_idf" the weight of each string.
        invert: whether to replace indices by strings instead.
        output_mode: "int" for indices; "one_hot", "multi_hot" and "count" as in `CategoryEncoding`; "tf_idf" for
            counts times weights, by which frequent tokens weigh less.
        pad_to_max_tokens: whether vectors have the length `max_tokens`, also where the vocabulary is smaller.
        sparse: must be False: there are no sparse tensors here.
        encoding: of the text file, and of strings that are bytes.
        salt: an integer, or two, on which the hash depends.

    >>> layer = StringLookup(vocabulary=["a", "b"])
    >>> layer(np.array([["a", "z"], ["b", "a"]])).tolist()
    [[1, 0], [2, 1]]
    """

    kind = "string"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        self.encoding = encoding
        kwargs.pop("oov_method", None)  # files have it; it is always a hash
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, "farmhash", salt, name=name, **kwargs,
        )  # fmt: skip

    @property
    def input_dtype(self) -> str:
        return "int32" if self.invert else "string"

    def _as_tokens(self, vocabulary: Any) -> list[str]:
        return as_text(vocabulary, self.encoding, f"{type(self).__name__}(vocabulary)").reshape(-1).tolist()

    def _as_batch(self, value: Any, name: str) -> NDArray[Any]:
        return as_text(value, self.encoding, f"{name}()")

    def call(self, inputs: Any) -> Any:
        if self.invert is (standardize_dtype(inputs.dtype) == "string"):
            raise ArgumentTypeError(
                f"Layer {self.path!r} (StringLookup) takes {'indices' if self.invert else 'text'}"
                f"{' with invert=True' if self.invert else ''}. Received dtype {standardize_dtype(inputs.dtype)}."
            )
        return super().call(inputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"oov_method": "floormod"}  # what the reference writes, and doesn't use


@export("layers.IntegerLookup")
class IntegerLookup(IndexLookup):
    """Replaces integers by their indices in a vocabulary, which is given, or which `adapt(data)` learns.

    Inside compiled steps integers count with 32 bits; elsewhere those of 64 bits count whole.

    Args:
        max_tokens: the largest vocabulary, with the special tokens; no limit if not given.
        num_oov_indices: how many indices there are for unknown integers. With 0 such are an error, and inside compiled
            steps they get the index -1.
        mask_token: an integer with the index 0, which leaves no trace in vectors, such as 0.
        oov_token: the integer that stands for unknown ones in `get_vocabulary` and with `invert`.
        vocabulary: the integers, or the path of a text file with one in each line.
        vocabulary_dtype: only "int64".
        idf_weights: for the mode "tf_idf" the weight of each integer.
        invert: whether to replace indices by integers instead.
        output_mode: "int" for indices; "one_hot", "multi_hot" and "count" as in `CategoryEncoding`; "tf_idf" for
            counts times weights, by which frequent tokens weigh less.
        sparse: must be False: there are no sparse tensors here.
        pad_to_max_tokens: whether vectors have the length `max_tokens`, also where the vocabulary is smaller.
        oov_method: which of several indices an unknown integer has: its remainder ("floormod") or that of a hash
            ("farmhash").
        salt: an integer, or two, on which the hash depends.

    >>> layer = IntegerLookup(vocabulary=[12, 36])
    >>> layer(np.array([[12, 7], [36, 12]])).tolist()
    [[1, 0], [2, 1]]
    """

    kind = "int64"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if vocabulary_dtype != "int64":
            raise ArgumentError(
                f'IntegerLookup(): `vocabulary_dtype` can only be "int64". Received: {vocabulary_dtype!r}'
            )
        self.vocabulary_dtype = vocabulary_dtype
        arguments.choice(self, "oov_method", oov_method, ("floormod", "farmhash"))
        if salt is not None and oov_method != "farmhash":
            raise ArgumentError(
                f'IntegerLookup(): `salt` is for `oov_method="farmhash"`. Received: oov_method={oov_method!r}'
            )
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, oov_method, salt, name=name, **kwargs,
        )  # fmt: skip

    def _as_tokens(self, vocabulary: Any) -> list[int]:
        return self._as_batch(vocabulary, "IntegerLookup(vocabulary)").reshape(-1).tolist()

    def _as_batch(self, value: Any, name: str) -> NDArray[Any]:
        try:
            return ops.convert_to_numpy(value).astype(np.int64)
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(f"{name}() takes integers. Received: {shown(value)}") from error

    @cached_property
    def _ordered(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The tokens that have 32 bits in rising order, and their indices."""
        low, high = limits("int32")
        found = sorted((token, i) for token, i in self._indices.items() if low <= token <= high)
        tokens, indices = np.array(found, np.int64).reshape(-1, 2).astype(np.int32).T
        return tokens, indices

    def call(self, inputs: Any) -> Any:
        if standardize_dtype(inputs.dtype) == "string":
            raise ArgumentTypeError(
                f"Layer {self.path!r} (IntegerLookup) takes integers. Received text; use StringLookup for it."
            )
        if self.on_host(inputs):
            return super().call(inputs)
        self._require_vocabulary()
        x = ops.cast(inputs, "int32")
        if self.invert:
            last = len(self._specials) + len(self._vocabulary)  # type: ignore[arg-type]
            tokens = np.array([*self.get_vocabulary(), self.oov_token], np.int64)
            inside = ops.logical_and(ops.greater_equal(x, 0), ops.less(x, last))
            return ops.cast(ops.take(tokens, ops.where(inside, x, last)), integers())
        return self.encoded(self._found(x))

    def _found(self, x: Any) -> Any:
        """The indices of integers in a tensor."""
        tokens, indices = self._ordered
        places = ops.minimum(ops.searchsorted(tokens, x), len(tokens) - 1)
        known = ops.equal(ops.take(tokens, places), x)
        if self.num_oov_indices == 0:
            unknown: Any = NOTHING
        elif self.num_oov_indices == 1:
            unknown = self._first_unknown
        elif self.oov_method == "floormod":
            unknown = ops.add(ops.mod(x, self.num_oov_indices), self._first_unknown)
        else:
            unknown = ops.add(hash_integers(x, self._key) % self.num_oov_indices, self._first_unknown)
        return ops.where(known, ops.take(indices, places), unknown)
