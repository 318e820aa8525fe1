"""Sound files as a data set, on every engine and without any."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.errors import ArgumentError, ArgumentTypeError, FileFormatError
from triceras.core.registry import export
from triceras.preprocessing.shares import Share, default_workers, list_folder, shares
from triceras.preprocessing.sounds import read_wav, resampled
from triceras.training.dataset import IndexedDataset


class AudioDataset(IndexedDataset):
    """Sounds in batches of shape (batch, samples, channels), with values from -1 to 1, and their labels.

    Attributes:
        file_paths: the files, in the order of `labels` and of what `evaluate` and `predict` see.
        labels: class numbers, or None.
        class_names: names of the classes in the order of their numbers, or None.
    """

    def __init__(
        self, share: Share, sampling_rate: int | None, length: int | None, ragged: bool, **options: Any
    ) -> None:
        listing = share.listing
        super().__init__(len(listing.paths), labels=listing.labels, **share.options, **options)
        self.file_paths, self.class_names, self._targets = listing.paths, listing.class_names, share.targets
        self._sampling_rate, self._length, self._ragged = sampling_rate, length, ragged

    def gather(self, rows: NDArray[Any], random: np.random.Generator) -> Any:
        sounds = [self._read(self.file_paths[row]) for row in rows.tolist()]
        x = _apart(sounds) if self._ragged else self._together(sounds, rows)
        return x if self._targets is None else (x, self._targets[rows])

    def _read(self, path: str) -> NDArray[np.float32]:
        samples, rate = read_wav(path)
        return samples if self._sampling_rate is None else resampled(samples, rate, self._sampling_rate)

    def _together(self, sounds: list[NDArray[np.float32]], rows: NDArray[Any]) -> NDArray[np.float32]:
        """One array of sounds, which are cut or followed by silence."""
        channels = sounds[0].shape[1]
        length = max(map(len, sounds)) if self._length is None else self._length
        found = np.zeros((len(sounds), length, channels), "float32")
        for place, sound in enumerate(sounds):
            if sound.shape[1] != channels:
                first, other = (self.file_paths[rows[i]] for i in (0, place))
                raise FileFormatError(
                    f"The sounds of a batch must have as many channels. {first!r} has {channels}, {other!r} has "
                    f"{sound.shape[1]}."
                )
            found[place, : len(sound)] = sound[:length]
        return found


def _apart(sounds: list[NDArray[np.float32]]) -> NDArray[Any]:
    """An array of arrays."""
    found = np.empty(len(sounds), object)
    found[:] = sounds
    return found


@export("utils.audio_dataset_from_directory")
def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """The WAV files of a folder with a folder for each class, as a data set for `fit`, `evaluate` and `predict`.

    Args:
        directory: the folder; class folders may hold further folders.
        labels: "inferred" from the folders' names, a list with a label for each file in alphabetical order of
            their paths, or None for none.
        label_mode: "int" for class numbers, "categorical" for one-hot rows, "binary" for 0.0 and 1.0 in shape
            `(batch, 1)`, or None for no labels.
        class_names: the class folders in the order of their numbers; by default all, in alphabetical order.
        batch_size: sounds a batch; None gives single sounds.
        sampling_rate: samples in a second, to which other sounds are converted (by SciPy); None leaves them.
        output_sequence_length: samples to which all sounds are cut or extended by silence. Without it a batch is as
            long as its longest sound, and training compiles a step for each length.
        ragged: whether a batch is an array of arrays, in which each sound keeps its length.
        shuffle: whether files are shuffled, and again in every pass; else they stand in alphabetical order.
        seed: of the order and the split.
        validation_split: fraction of the files that is for validation.
        subset: "training", "validation" or, for a pair of data sets, "both".
        follow_links: whether to go into folders that are symbolic links.
        verbose: whether to say how many files and classes were found.

    >>> import os, tempfile, wave
    >>> folder = tempfile.mkdtemp()
    >>> for name in ("high", "low"):
    ...     os.mkdir(f"{folder}/{name}")
    ...     with wave.open(f"{folder}/{name}/1.wav", "wb") as file:
    ...         file.setparams((1, 2, 8000, 0, "NONE", None))
    ...         file.writeframes(np.zeros(100, "int16").tobytes())
    >>> dataset = audio_dataset_from_directory(folder, output_sequence_length=80, verbose=False)
    >>> dataset.class_names, [(x.shape, y.shape) for x, y in dataset]
    (['high', 'low'], [((2, 80, 1), (2,))])
    """
    for name, value in (("sampling_rate", sampling_rate), ("output_sequence_length", output_sequence_length)):
        if value is not None and (not isinstance(value, (int, np.integer)) or isinstance(value, bool)):
            raise ArgumentTypeError(f"`{name}` must be an integer or None. Received: {value!r}")
        if value is not None and value < 1:
            raise ArgumentError(f"`{name}` must be at least 1. Received: {value!r}")
    if ragged and output_sequence_length is not None:
        raise ArgumentError("With `ragged` each sound keeps its length: leave `output_sequence_length` out.")
    listing = list_folder(
        directory, labels, label_mode, class_names,
        formats=(".wav",), follow_links=follow_links, what="sounds",
    )  # fmt: skip
    parts = shares(
        listing, label_mode=label_mode, shuffle=shuffle, seed=seed, validation_split=validation_split,
        subset=subset, verbose=verbose,
    )  # fmt: skip
    found = [
        AudioDataset(
            part,
            sampling_rate,
            output_sequence_length,
            ragged,
            batch_size=batch_size,
            workers=default_workers(),
        )
        for part in parts
    ]
    return tuple(found) if subset == "both" else found[0]
