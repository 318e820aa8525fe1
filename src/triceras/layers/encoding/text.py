"""Text as the indices of its tokens, or as vectors of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.dtypes import standardize_dtype
from triceras.core.errors import ArgumentError, ArgumentTypeError, shown
from triceras.core.registry import export
from triceras.core.spec import Shape
from triceras.layers import arguments
from triceras.layers.encoding.base import EncodingLayer, one_axis
from triceras.layers.encoding.lookup import NOTHING, StringLookup
from triceras.utils.moments import inputs_of
from triceras.utils.text import SPLIT, STANDARDIZE, Text, as_text, mapped, ngrams, padded, tokens

MODES = ("int", "multi_hot", "count", "tf_idf")


@export("layers.TextVectorization")
class TextVectorization(EncodingLayer):
    """Turns texts into rows of indices of their tokens, or into vectors.

    Each text is standardized, split into tokens, perhaps joined to n-grams, and looked up in a vocabulary, which is
    given, or which `adapt(data)` learns.

    Args:
        max_tokens: the largest vocabulary, with the special tokens; no limit if not given.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation" (all of ASCII), None, or a function of
            an array of `str` that returns one.
        split: "whitespace", "character", None, or a function of an array of `str` that returns a list of tokens for
            each.
        ngrams: join up to so many neighbouring tokens; or a tuple of how many.
        output_mode: "int" for a row of indices, filled up with 0 (1 stands for unknown tokens); "multi_hot", "count"
            and "tf_idf" for vectors, as in `StringLookup`.
        output_sequence_length: for "int" the length of all rows; by default that of the longest in the batch.
        pad_to_max_tokens: whether vectors have the length `max_tokens`, also where the vocabulary is smaller.
        vocabulary: the tokens, or the path of a text file with one in each line.
        idf_weights: for the mode "tf_idf" the weight of each token.
        sparse: must be False: there are no sparse tensors here.
        ragged: must be False: there are no ragged tensors here.
        encoding: of the text file, and of texts that are bytes.

    >>> layer = TextVectorization()
    >>> layer.adapt(["the cat", "The dog, the!"])
    >>> layer.get_vocabulary()
    ['', '[UNK]', 'the', 'dog', 'cat']
    >>> layer(np.array([["The cat."], ["a dog barks"]])).tolist()
    [[2, 4, 0], [1, 3, 1]]
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[[Any], Any] | None = "lower_and_strip_punctuation",
        split: str | Callable[[Any], Any] | None = "whitespace",
        ngrams: int | tuple[int, ...] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        expected_size = kwargs.pop("vocabulary_size", None)
        super().__init__(name=name, **kwargs)
        self.encoding = encoding
        self.standardize = self._choice("standardize", standardize, STANDARDIZE)
        self.split = self._choice("split", split, SPLIT)
        self.ngrams, self._sizes = ngrams, self._ngram_sizes(ngrams)
        self.output_mode = arguments.choice(self, "output_mode", output_mode, MODES)
        if output_sequence_length is not None:
            if self.output_mode != "int":
                raise ArgumentError(
                    'TextVectorization(): `output_sequence_length` is for `output_mode="int"`. Received: '
                    f"output_mode={output_mode!r}"
                )
            arguments.count(self, "output_sequence_length", output_sequence_length)
        self.output_sequence_length = output_sequence_length
        if ragged:
            raise ArgumentError(
                "TextVectorization(): `ragged=True` needs ragged tensors, which no engine has here. Leave it out: rows "
                "are then filled up with 0, the index of the mask token."
            )
        self.ragged, self.sparse = False, self.dense_only(sparse)
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            mask_token="",
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            output_mode=self.output_mode,
            pad_to_max_tokens=pad_to_max_tokens,
            encoding=encoding,
            vocabulary_size=expected_size,
        )

    def _choice(self, name: str, value: Any, known: dict[str, Any]) -> Any:
        if value is None or callable(value) or value in known:
            return value
        raise ArgumentError(
            f"TextVectorization(): `{name}` must be one of {tuple(known)}, None or a function. Received: {shown(value)}"
        )

    def _ngram_sizes(self, given: Any) -> tuple[int, ...] | None:
        if given is None:
            return None
        if isinstance(given, (tuple, list)):
            return tuple(arguments.count(self, "ngrams", n) for n in given)
        return tuple(range(1, arguments.count(self, "ngrams", given) + 1))

    # -- the vocabulary --------------------------------------------------------------------------------------

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The tokens in the order of their indices.

        Args:
            include_special_tokens: whether with "" for padding and "[UNK]" for unknown tokens.
        """
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many indices there are."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Set the tokens, instead of adapting the layer to data; see `StringLookup.set_vocabulary`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary from data, anew: the most frequent tokens first.

        Args:
            data: texts in an array, a list or a tensor, or batches of them: a `PyDataset`, a `tf.data.Dataset`, a
                `DataLoader` or any other iterable. Of batches that are tuples the first entry counts.
            batch_size: accepted for compatibility; it makes no difference.
            steps: how many batches to take; all if not given.

        Raises:
            StateError: the layer was given its vocabulary.
        """
        self._lookup_layer._refuse_if_given("adapt")
        self.reset_state()
        for batch in islice(inputs_of(data, "TextVectorization.adapt", self._as_batch), steps):
            self.update_state(batch)
        self.finalize_state()

    def _as_batch(self, value: Any, name: str) -> Text:
        return as_text(value, self.encoding, f"{name}()")

    def update_state(self, data: Any) -> None:
        """Take a batch into account, for `finalize_state`."""
        self._lookup_layer._refuse_if_given("update_state")
        batch = self._as_batch(data, "TextVectorization.update_state")
        if self.split is None and self._sizes is None:
            self._lookup_layer.update_state(self._standardized(batch))
        else:
            self._lookup_layer.count(self._tokens(batch))

    def finalize_state(self) -> None:
        """Set the vocabulary from all batches since `reset_state`."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget what `update_state` was given."""
        self._lookup_layer.reset_state()

    # -- calling ---------------------------------------------------------------------------------------------

    def _standardized(self, text: Text) -> Text:
        if callable(self.standardize):
            return as_text(self.standardize(text), self.encoding, "The result of `standardize`").reshape(
                text.shape
            )
        return text if self.standardize is None else mapped(STANDARDIZE[self.standardize], text)

    def _tokens(self, text: Text) -> list[list[str]]:
        """The tokens of each text."""
        text = self._standardized(text)
        if self.split is None:
            found = [row.tolist() for row in text.reshape(len(text), -1)] if text.ndim else [[text.item()]]
        else:
            found = tokens(text, self.split, self.encoding)
        return found if self._sizes is None else [ngrams(row, self._sizes) for row in found]

    def call(self, inputs: Any) -> Any:
        shape = tuple(inputs.shape)
        if self.split is None and self._sizes is None:
            return self._lookup_layer.encoded(self.from_host(self._find, [inputs], shape))
        rows = one_axis(self, shape) if self.split is not None else shape[:1]
        length = self.output_sequence_length if self.output_mode == "int" else None
        return self._lookup_layer.encoded(self.from_host(self._find_rows, [inputs], (*rows, length)))

    def _find(self, text: Text) -> NDArray[Any]:
        return self._lookup_layer.find(self._standardized(text))

    def _find_rows(self, text: Text) -> NDArray[Any]:
        rows = self._tokens(text)
        flat = np.empty(sum(map(len, rows)), object)
        flat[:] = [token for row in rows for token in row]
        cuts = np.cumsum([len(row) for row in rows])[:-1]
        found = np.split(self._lookup_layer.find(flat), cuts) if rows else []
        filler = 0 if self.output_mode == "int" else NOTHING
        matrix = padded(found, self.output_sequence_length, filler)
        return matrix if text.ndim else matrix[0]

    def _convert_one(self, x: Any) -> Any:
        if hasattr(x, "dtype") and standardize_dtype(x.dtype) != "string":
            raise ArgumentTypeError(
                f"Layer {self.path!r} (TextVectorization) takes text. Received dtype {x.dtype}."
            )
        return super()._convert_one(x)

    input_dtype = "string"

    @property
    def output_dtype(self) -> str:
        return self._lookup_layer.output_dtype

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output's shape for an input of this shape."""
        shape = tuple(input_shape)
        if self.split is None and self._sizes is None:
            return self._lookup_layer.compute_output_shape(shape)
        rows = one_axis(self, shape) if self.split is not None else shape[:1]
        length = self.output_sequence_length if self.output_mode == "int" else self._lookup_layer._depth
        return (*rows, length)

    # -- configs and files -----------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        lookup = self._lookup_layer.get_config()
        kept = ("max_tokens", "pad_to_max_tokens", "vocabulary", "idf_weights", "vocabulary_size")
        return super().get_config() | {name: lookup[name] for name in kept}

    def save_own_variables(self, store: Any) -> None:
        """Put the weights of the mode "tf_idf" into a store."""
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Take the weights of the mode "tf_idf" from a store."""
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: str | os.PathLike[str]) -> None:
        """Write the vocabulary into a folder, unless the config holds it."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: str | os.PathLike[str]) -> None:
        """Read the vocabulary from a folder."""
        self._lookup_layer.load_assets(dir_path)
