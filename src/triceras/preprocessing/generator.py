"""`ImageDataGenerator`: images from arrays, folders or tables, changed at random and standardized."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Sequence
from collections.abc import Iterator as Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triceras.core.config import floatx, standardize_data_format
from triceras.core.errors import ArgumentError, ArgumentTypeError, ShapeError, shown
from triceras.core.registry import export
from triceras.core.scope import Local
from triceras.preprocessing.affine import apply_affine_transform, apply_brightness_shift, apply_channel_shift
from triceras.preprocessing.listing import class_folders, files_below
from triceras.preprocessing.reading import CACHE_BYTES, Pixels
from triceras.training.dataset import IndexedDataset
from triceras.utils.images import COLOR_MODES, array_to_img, img_to_array, load_img

FORMATS = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff")
_EPSILON = 1e-6
_drawn_from: Local[Any] = Local("drawn_from", None)  # None is NumPy's global source


def _random() -> Any:
    return _drawn_from.get() or np.random


@export("preprocessing.image.ImageDataGenerator")
class ImageDataGenerator:
    """Makes endless batches of images that are changed at random, then standardized.

    Layers such as `RandomFlip` do the same inside of a model, faster; this is for programs that have it.

    Args:
        featurewise_center: subtract the mean of each channel over the data; `fit` computes it.
        samplewise_center: subtract the mean of each image.
        featurewise_std_normalization: divide by the standard deviation of each channel over the data.
        samplewise_std_normalization: divide by that of each image.
        zca_whitening: make all values uncorrelated, with variance 1; `fit` computes the matrix.
        zca_epsilon: added to the singular values.
        rotation_range: degrees, either way.
        width_shift_range: a float below 1 is a fraction of the width, any other a number of pixels; an
            integer n means whole pixels below n; a list holds the shifts to choose from. Either way.
        height_shift_range: the same for the height.
        brightness_range: two factors between which one is drawn.
        shear_range: degrees, either way.
        zoom_range: [lowest, highest] factor, or a number z for [1 - z, 1 + z]; below 1 enlarges.
        channel_shift_range: added to or taken from all values, up to this.
        fill_mode: what is beyond the edges: "constant", "nearest", "reflect" or "wrap".
        cval: value there for "constant".
        horizontal_flip: mirror half of the images left to right.
        vertical_flip: mirror half of the images top to bottom.
        rescale: factor for all values, after the random changes.
        preprocessing_function: changes an image of rank 3 after the random changes, before the rest.
        data_format: layout of the images; None is `config.image_data_format()`.
        validation_split: fraction of the data that is the subset "validation", from the beginning.
        interpolation_order: 0 to 5; above 1 needs SciPy.
        dtype: of the batches; None is the default float type.

    Attributes:
        mean: of each channel, after `fit`; `std` and `zca_whitening_matrix` likewise.

    >>> generator = ImageDataGenerator(rescale=0.5, horizontal_flip=True)
    >>> x, y = next(generator.flow(np.ones((4, 2, 2, 1)), np.arange(4), batch_size=3, seed=1))
    >>> x.shape, y.shape, float(x.max())
    ((3, 2, 2, 1), (3,), 0.5)
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: str | None = None,
    ) -> None:
        self.featurewise_center, self.samplewise_center = featurewise_center, samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.channel_shift_range, self.fill_mode, self.cval = channel_shift_range, fill_mode, cval
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.interpolation_order, self.dtype = interpolation_order, dtype or floatx()
        self.data_format = standardize_data_format(data_format)
        last = self.data_format == "channels_last"
        self.row_axis, self.col_axis, self.channel_axis = (1, 2, 3) if last else (2, 3, 1)
        if validation_split and not 0 < validation_split < 1:
            raise ArgumentError(f"`validation_split` must be between 0 and 1. Received: {validation_split!r}")
        self._validation_split = validation_split
        self.mean = self.std = self.zca_whitening_matrix = None
        if isinstance(zoom_range, (int, float)):
            self.zoom_range: Sequence[float] = [1 - zoom_range, 1 + zoom_range]
        elif len(zoom_range) == 2 and all(isinstance(z, (int, float)) for z in zoom_range):
            self.zoom_range = [zoom_range[0], zoom_range[1]]
        else:
            raise ArgumentError(f"`zoom_range` must be a number or two numbers. Received: {zoom_range!r}")
        if brightness_range is not None and (
            not isinstance(brightness_range, (tuple, list)) or len(brightness_range) != 2
        ):
            raise ArgumentError(f"`brightness_range` must be two numbers. Received: {brightness_range!r}")
        self.brightness_range = brightness_range
        if zca_whitening and featurewise_std_normalization:
            warnings.warn("`zca_whitening` scales: `featurewise_std_normalization` is off.", stacklevel=2)
            self.featurewise_std_normalization = False
        for on, needs in (
            ("zca_whitening", "featurewise_center"),
            ("featurewise_std_normalization", "featurewise_center"),
            ("samplewise_std_normalization", "samplewise_center"),
        ):
            if getattr(self, on) and not getattr(self, needs):
                warnings.warn(f"`{on}` needs `{needs}`, which is on now.", stacklevel=2)
                setattr(self, needs, True)

    # -- sources ---------------------------------------------------------------------------------------------

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Batches from images in memory.

        Args:
            x: images of rank 4, or a pair of images and a list of further arrays, which are passed on.
            y: labels.
            batch_size: samples a batch.
            shuffle: whether each pass has a new order.
            sample_weight: a weight for each sample.
            seed: of the order and the changes.
            save_to_dir: a folder to write the changed images to, to look at.
            save_prefix: what their names begin with.
            save_format: their format.
            ignore_class_split: whether the subsets may hold different classes.
            subset: "training" or "validation", with `validation_split`.
        """
        return NumpyArrayIterator(
            x, y, self, batch_size=batch_size, shuffle=shuffle, sample_weight=sample_weight, seed=seed,
            data_format=self.data_format, save_to_dir=save_to_dir, save_prefix=save_prefix,
            save_format=save_format, ignore_class_split=ignore_class_split, subset=subset, dtype=self.dtype,
        )  # fmt: skip

    def flow_from_directory(
        self,
        directory: str | os.PathLike[str],
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:
        """Batches from a folder with a folder for each class.

        Args:
            directory: the folder.
            target_size: (height, width) of the images.
            color_mode: "grayscale", "rgb" or "rgba".
            classes: the class folders in the order of their numbers; by default all, in alphabetical order.
            class_mode: "categorical", "binary", "sparse", "input" for the images themselves, or None.
            follow_links: whether to go into folders that are symbolic links.
            interpolation: see `load_img`.
            keep_aspect_ratio: cut images to the proportions of `target_size` instead of distorting them.

        The other arguments are those of `flow`.
        """
        return DirectoryIterator(
            directory, self, target_size=target_size, color_mode=color_mode, classes=classes,
            class_mode=class_mode, batch_size=batch_size, shuffle=shuffle, seed=seed,
            data_format=self.data_format, save_to_dir=save_to_dir, save_prefix=save_prefix,
            save_format=save_format, follow_links=follow_links, subset=subset, interpolation=interpolation,
            keep_aspect_ratio=keep_aspect_ratio, dtype=self.dtype,
        )  # fmt: skip

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        **kwargs: Any,
    ) -> DataFrameIterator:
        """Batches from files that a data frame names.

        Args:
            dataframe: of pandas.
            directory: what the paths are relative to; None if they are whole.
            x_col: column of the files.
            y_col: column of the classes (text, or lists of text for several a file), or with "raw" and
                "multi_output" the column or columns of values.
            weight_col: column of sample weights.
            classes: the classes in the order of their numbers; rows of others are left out.
            class_mode: "categorical", "binary", "sparse", "raw", "multi_output", "input" or None.
            validate_filenames: whether to look for the files and leave out those that aren't there.

        The other arguments are those of `flow_from_directory`.
        """
        for name in kwargs:
            if name not in ("has_ext", "sort", "drop_duplicates"):
                raise ArgumentTypeError(f"flow_from_dataframe() got an unknown argument: {name!r}")
            warnings.warn(f"`{name}` has no effect: the rows are taken as they are.", stacklevel=2)
        if class_mode == "other":
            warnings.warn('`class_mode="other"` is an old name of "raw".', DeprecationWarning, stacklevel=2)
            class_mode = "raw"
        return DataFrameIterator(
            dataframe, directory, self, x_col=x_col, y_col=y_col, weight_col=weight_col,
            target_size=target_size, color_mode=color_mode, classes=classes, class_mode=class_mode,
            data_format=self.data_format, batch_size=batch_size, shuffle=shuffle, seed=seed,
            save_to_dir=save_to_dir, save_prefix=save_prefix, save_format=save_format, subset=subset,
            interpolation=interpolation, validate_filenames=validate_filenames, dtype=self.dtype,
        )  # fmt: skip

    # -- changes ---------------------------------------------------------------------------------------------

    def get_random_transform(self, img_shape: Sequence[int], seed: int | None = None) -> dict[str, Any]:
        """What happens to one image, drawn at random; see `apply_transform`."""
        random = _random() if seed is None else np.random.RandomState(seed)
        rows, columns = img_shape[self.row_axis - 1], img_shape[self.col_axis - 1]
        low, high = self.zoom_range
        theta = random.uniform(-self.rotation_range, self.rotation_range) if self.rotation_range else 0
        tx = _shift(random, self.height_shift_range, rows)
        ty = _shift(random, self.width_shift_range, columns)
        shear = random.uniform(-self.shear_range, self.shear_range) if self.shear_range else 0
        zx, zy = (1, 1) if low == high == 1 else random.uniform(low, high, 2)
        horizontal = (random.random() < 0.5) * self.horizontal_flip
        vertical = (random.random() < 0.5) * self.vertical_flip
        most = self.channel_shift_range
        return {
            "theta": theta,
            "tx": tx,
            "ty": ty,
            "shear": shear,
            "zx": zx,
            "zy": zy,
            "flip_horizontal": horizontal,
            "flip_vertical": vertical,
            "channel_shift_intensity": random.uniform(-most, most) if most else None,
            "brightness": None if self.brightness_range is None else random.uniform(*self.brightness_range),
        }

    def apply_transform(self, x: NDArray[Any], transform_parameters: dict[str, Any]) -> NDArray[Any]:
        """One image changed as told.

        Args:
            x: of rank 3.
            transform_parameters: any of "theta", "shear" (degrees), "tx", "ty" (pixels), "zx", "zy" (factors;
                see `apply_affine_transform` for these), "flip_horizontal", "flip_vertical",
                "channel_shift_intensity", "brightness" (a factor).
        """
        row, column, channel = self.row_axis - 1, self.col_axis - 1, self.channel_axis - 1
        get = transform_parameters.get
        x = apply_affine_transform(
            x, get("theta", 0), get("tx", 0), get("ty", 0), get("shear", 0), get("zx", 1), get("zy", 1),
            row_axis=row, col_axis=column, channel_axis=channel, fill_mode=self.fill_mode, cval=self.cval,
            order=self.interpolation_order,
        )  # fmt: skip
        if get("channel_shift_intensity") is not None:
            x = apply_channel_shift(x, get("channel_shift_intensity"), channel)
        if get("flip_horizontal"):
            x = np.flip(x, column)
        if get("flip_vertical"):
            x = np.flip(x, row)
        if get("brightness") is not None:
            last = np.moveaxis(x, channel, 2)
            x = np.moveaxis(apply_brightness_shift(last, get("brightness"), scale=False), 2, channel)
        return x

    def random_transform(self, x: NDArray[Any], seed: int | None = None) -> NDArray[Any]:
        """One image of rank 3 changed at random."""
        return self.apply_transform(x, self.get_random_transform(x.shape, seed))

    def standardize(self, x: NDArray[Any]) -> NDArray[Any]:
        """One image, or a batch, with what `fit` has found and the options say taken off; a new array."""
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        if self.rescale:
            x = x * np.asarray(self.rescale, x.dtype if x.dtype.kind == "f" else self.dtype)
        if self.samplewise_center:
            x = x - np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (np.std(x, keepdims=True) + _EPSILON)
        if self.featurewise_center and self._fitted("mean", "featurewise_center"):
            x = x - self.mean
        if self.featurewise_std_normalization and self._fitted("std", "featurewise_std_normalization"):
            x = x / (self.std + _EPSILON)
        if self.zca_whitening and self._fitted("zca_whitening_matrix", "zca_whitening"):
            flat = x.reshape(-1, len(self.zca_whitening_matrix))
            x = (flat @ self.zca_whitening_matrix).reshape(x.shape)
        return x

    def _fitted(self, found: str, option: str) -> bool:
        if getattr(self, found) is None:
            warnings.warn(
                f"This ImageDataGenerator has `{option}`, which needs to know the data: call `fit(x)` first.",
                stacklevel=3,
            )
            return False
        return True

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Compute what the featurewise options need from sample images.

        Args:
            x: images of rank 4.
            augment: whether to change them at random first.
            rounds: with `augment`, how often each is changed.
            seed: of the changes.
        """
        x = np.array(x, dtype=self.dtype)
        if x.ndim != 4:
            raise ShapeError(f"ImageDataGenerator.fit() takes images of rank 4. Received shape {x.shape}.")
        if x.shape[self.channel_axis] not in (1, 3, 4):
            warnings.warn(
                f"Images that are {self.data_format} have 1, 3 or 4 channels in axis {self.channel_axis}. "
                f"Received shape {x.shape}.",
                stacklevel=2,
            )
        if self.rescale:
            x *= self.rescale
        if augment:
            with _drawn_from(np.random if seed is None else np.random.RandomState(seed)):
                x = np.stack([self.random_transform(image) for _ in range(rounds) for image in x])
        axes = (0, self.row_axis, self.col_axis)
        if self.featurewise_center:
            self.mean = x.mean(axis=axes, keepdims=True)[0]
            x = x - self.mean
        if self.featurewise_std_normalization:
            self.std = x.std(axis=axes, keepdims=True)[0]
            x = x / (self.std + _EPSILON)
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)
            vectors, values, _ = np.linalg.svd(flat.T, full_matrices=False)
            scales = np.sqrt(len(x)) / (values + self.zca_epsilon)
            self.zca_whitening_matrix = (vectors * scales) @ vectors.T


def _shift(random: Any, most: Any, size: int) -> Any:
    """Pixels to shift by."""
    if not np.size(most) or not np.any(most):
        return 0
    given = not isinstance(most, float)  # one of the shifts, or of the whole pixels below
    drawn = random.choice(most) * random.choice([-1, 1]) if given else random.uniform(-most, most)
    return drawn * size if np.max(most) < 1 else drawn


@export("preprocessing.image.Iterator")
class Iterator(IndexedDataset):
    """Endless batches of numbered samples: subclass it, with `_get_batches_of_transformed_samples`.

    In training it is an `IndexedDataset`: epochs, order and balance are those of `fit`.

    Args:
        n: how many samples there are.
        batch_size: samples a batch.
        shuffle: whether each pass has a new order.
        seed: of the order and of changes.
    """

    white_list_formats = FORMATS

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None, **kwargs: Any) -> None:
        super().__init__(n, batch_size, shuffle, seed, **kwargs)
        self.n, self.shuffle = n, shuffle
        self.batch_index = self.total_batches_seen = 0
        self.index_array: NDArray[Any] | None = None
        self._drawing: np.random.RandomState | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state | {"_lock": threading.Lock()}

    def _get_batches_of_transformed_samples(self, index_array: NDArray[Any]) -> Any:
        """The batch of the given samples."""
        raise NotImplementedError(
            f"{type(self).__name__} must define _get_batches_of_transformed_samples(index_array)."
        )

    def gather(self, rows: NDArray[Any], random: np.random.Generator) -> Any:
        with _drawn_from(random):
            return self._get_batches_of_transformed_samples(rows)

    def _source(self) -> Any:
        """What the next batch draws from."""
        if self.seed is not None:
            self._drawing = np.random.RandomState(self.seed + self.total_batches_seen)
        self.total_batches_seen += 1
        return self._drawing or np.random

    def _new_order(self) -> None:
        random = self._drawing or np.random
        self.index_array = random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def __getitem__(self, idx: int) -> Any:
        if not -len(self) <= idx < len(self):
            raise IndexError(f"There is no batch {idx}: the iterator has {len(self)} batches.")
        with self._lock:
            random = self._source()
            if self.index_array is None:
                self._new_order()
            start = idx % len(self) * self.batch_size
            rows = self.index_array[start : start + self.batch_size]
        with _drawn_from(random):
            return self._get_batches_of_transformed_samples(rows)

    def __iter__(self) -> Iterable[Any]:
        return self

    def __next__(self) -> Any:
        with self._lock:
            random = self._source()
            if self.batch_index == 0:
                self._new_order()
            start = self.batch_index * self.batch_size
            rows = self.index_array[start : start + self.batch_size]
            self.batch_index = (self.batch_index + 1) % len(self)
        with _drawn_from(random):
            return self._get_batches_of_transformed_samples(rows)

    next = __next__

    def on_epoch_end(self) -> None:
        with self._lock:
            self._new_order()

    def reset(self) -> None:
        """Begin the next pass with the next batch."""
        self.batch_index = 0


class _Images(Iterator):
    """What iterators over images share: random changes, standardization, pictures to look at."""

    def _prepare(
        self,
        generator: ImageDataGenerator | None,
        data_format: str | None,
        save_to_dir: str | None,
        save_prefix: str,
        save_format: str,
        dtype: str | None,
    ) -> None:
        self.image_data_generator = generator
        self.data_format, self.dtype = standardize_data_format(data_format), dtype or floatx()
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format

    def _changed(self, x: NDArray[Any]) -> NDArray[Any]:
        if self.image_data_generator is None:
            return x
        parameters = self.image_data_generator.get_random_transform(x.shape)
        return self.image_data_generator.standardize(self.image_data_generator.apply_transform(x, parameters))

    def _stacked(self, images: Sequence[NDArray[Any]], rows: NDArray[Any]) -> NDArray[Any]:
        batch = np.stack([np.asarray(self._changed(x), self.dtype) for x in images])
        if self.save_to_dir:
            Path(self.save_to_dir).mkdir(parents=True, exist_ok=True)
            for x, row in zip(batch, rows.tolist(), strict=True):
                name = f"{self.save_prefix}_{row}_{np.random.randint(10**7)}.{self.save_format}"
                array_to_img(x, self.data_format, scale=True).save(os.path.join(self.save_to_dir, name))
        return batch


def _part(generator: ImageDataGenerator | None, subset: str | None, count: int) -> slice:
    """The samples of a subset: validation comes first."""
    if subset is None:
        return slice(None)
    if subset not in ("training", "validation"):
        raise ArgumentError(f'`subset` must be "training" or "validation". Received: {subset!r}')
    cut = int(count * (generator._validation_split if generator is not None else 0))
    return slice(cut) if subset == "validation" else slice(cut, None)


@export("preprocessing.image.NumpyArrayIterator")
class NumpyArrayIterator(_Images):
    """Batches from images in memory, as `ImageDataGenerator.flow` makes them; see there."""

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: ImageDataGenerator,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: str | None = None,
    ) -> None:
        self._prepare(image_data_generator, data_format, save_to_dir, save_prefix, save_format, dtype)
        misc: list[Any] = []
        if isinstance(x, (tuple, list)):
            x, further = x[0], x[1]
            misc = [np.asarray(a) for a in (further if isinstance(further, (tuple, list)) else [further])]
        x = np.asarray(x)
        y = None if y is None else np.asarray(y)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        for name, value in (("y", y), ("sample_weight", weights), *(("x", a) for a in misc)):
            if value is not None and len(value) != len(x):
                raise ShapeError(f"`{name}` must have {len(x)} samples, as `x` has. Received {len(value)}.")
        part = _part(image_data_generator, subset, len(x))
        if subset is not None and y is not None and not ignore_class_split:
            other = slice(part.stop, None) if subset == "validation" else slice(part.start)
            if not np.array_equal(np.unique(y[part]), np.unique(y[other])):
                raise ArgumentError(
                    "The training and validation subsets hold different classes: data sorted by class must "
                    "be shuffled before it is split, or pass `ignore_class_split=True`."
                )
        self.x = np.asarray(x[part], self.dtype)
        self.y, self.x_misc = None if y is None else y[part], [a[part] for a in misc]
        self.sample_weight = None if weights is None else weights[part]
        if self.x.ndim != 4:
            raise ShapeError(f"`x` must hold images of rank 4. Received shape {x.shape}.")
        axis = 3 if self.data_format == "channels_last" else 1
        if self.x.shape[axis] not in (1, 3, 4):
            warnings.warn(
                f"Images that are {self.data_format} have 1, 3 or 4 channels in axis {axis}. Received shape "
                f"{x.shape}.",
                stacklevel=3,
            )
        if not len(self.x):
            raise ArgumentError(f"There are no images. Received shape {x.shape} and subset={subset!r}.")
        super().__init__(len(self.x), batch_size, shuffle, seed, labels=self.y)

    def _get_batches_of_transformed_samples(self, index_array: NDArray[Any]) -> Any:
        x: Any = self._stacked(self.x[index_array], index_array)
        if self.x_misc:
            x = [x, *(a[index_array] for a in self.x_misc)]
        if self.y is None:
            return x
        batch = (x, self.y[index_array])
        return batch if self.sample_weight is None else (*batch, self.sample_weight[index_array])


class _Files(_Images):
    """Batches of image files."""

    allowed_class_modes: frozenset[str | None]

    def _prepare_files(
        self,
        generator: ImageDataGenerator | None,
        target_size: tuple[int, int],
        color_mode: str,
        subset: str | None,
        interpolation: str,
        keep_aspect_ratio: bool,
        class_mode: str | None,
        **options: Any,
    ) -> None:
        self._prepare(generator, **options)
        if class_mode not in self.allowed_class_modes:
            allowed = sorted(map(repr, self.allowed_class_modes))
            raise ArgumentError(f"`class_mode` must be one of {', '.join(allowed)}. Received: {class_mode!r}")
        if color_mode not in COLOR_MODES:
            raise ArgumentError(f"`color_mode` must be one of {tuple(COLOR_MODES)}. Received: {color_mode!r}")
        self.target_size, self.color_mode, self.class_mode = tuple(target_size), color_mode, class_mode
        self.subset, self.interpolation, self.keep_aspect_ratio = subset, interpolation, keep_aspect_ratio
        channels = len(COLOR_MODES[color_mode])
        last = self.data_format == "channels_last"
        self.image_shape = (*self.target_size, channels) if last else (channels, *self.target_size)

    def _found(self, batch_size: int, shuffle: bool, seed: int | None, labels: Any) -> None:
        super().__init__(len(self._filepaths), batch_size, shuffle, seed, labels=labels)
        shape = (*self.target_size, len(COLOR_MODES[self.color_mode]))
        self._pixels: Pixels | None = Pixels(self.n, shape, self._read, CACHE_BYTES)

    @property
    def filepaths(self) -> list[str]:
        """The files, whole paths."""
        return self._filepaths

    def _image(self, row: int) -> Any:
        path, size = self._filepaths[row], self.target_size
        return load_img(path, self.color_mode, size, self.interpolation, self.keep_aspect_ratio)

    def _read(self, row: int) -> NDArray[np.uint8]:
        pixels = np.asarray(self._image(row))
        if pixels.dtype != np.uint8:
            raise _DeepError
        return pixels.reshape(*self.target_size, -1)

    def _loaded(self, rows: NDArray[Any]) -> list[NDArray[Any]]:
        if self._pixels is not None:
            try:
                pixels = self._pixels[rows].astype(self.dtype)
                return list(pixels if self.data_format == "channels_last" else pixels.transpose(0, 3, 1, 2))
            except _DeepError:
                self._pixels = None
        return [img_to_array(self._image(row), self.data_format, self.dtype) for row in rows.tolist()]

    def _targets(self, rows: NDArray[Any], x: NDArray[Any]) -> Any:
        raise NotImplementedError

    def _get_batches_of_transformed_samples(self, index_array: NDArray[Any]) -> Any:
        x = self._stacked(self._loaded(index_array), index_array)
        if self.class_mode is None:
            return x
        batch = (x, self._targets(index_array, x))
        weights = self.sample_weight
        return batch if weights is None else (*batch, weights[index_array])

    @property
    def sample_weight(self) -> NDArray[Any] | None:
        """A weight for each file, or None."""
        return None


class _DeepError(Exception):
    """An image has more than 8 bits a channel."""


def _one_hot(numbers: Any, count: int, dtype: str) -> NDArray[Any]:
    found = np.zeros((len(numbers), count), dtype)
    for row, kinds in enumerate(numbers):
        found[row, kinds] = 1
    return found


@export("preprocessing.image.DirectoryIterator")
class DirectoryIterator(_Files):
    """Batches from a folder of class folders, as `ImageDataGenerator.flow_from_directory` makes them.

    Attributes:
        class_indices: the number of each class.
        classes: the class number of each file; `labels` is the same.
        filenames: the files, relative to the folder; `filepaths` are the whole paths.
        samples: how many there are.
    """

    allowed_class_modes = frozenset(("categorical", "binary", "sparse", "input", None))

    def __init__(
        self,
        directory: str | os.PathLike[str],
        image_data_generator: ImageDataGenerator | None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: str | None = None,
    ) -> None:
        self._prepare_files(
            image_data_generator, target_size, color_mode, subset, interpolation, keep_aspect_ratio,
            class_mode, data_format=data_format, save_to_dir=save_to_dir, save_prefix=save_prefix,
            save_format=save_format, dtype=dtype,
        )  # fmt: skip
        self.directory = os.fspath(directory)
        if not os.path.isdir(self.directory):
            raise FileNotFoundError(f"There is no folder {self.directory!r}.")
        names = class_folders(self.directory) if classes is None else list(classes)
        self.class_indices = {name: number for number, name in enumerate(names)}
        self.num_classes = len(names)
        self._filepaths, numbers = [], []
        for name, number in self.class_indices.items():
            found = files_below(os.path.join(self.directory, name), [f".{f}" for f in FORMATS], follow_links)
            found = found[_part(image_data_generator, subset, len(found))]
            self._filepaths += found
            numbers += [number] * len(found)
        self.classes = np.array(numbers, "int32")
        self.filenames = [os.path.relpath(path, self.directory) for path in self._filepaths]
        print(f"Found {len(self._filepaths)} images belonging to {self.num_classes} classes.")
        self._found(batch_size, shuffle, seed, self.classes)

    def _targets(self, rows: NDArray[Any], x: NDArray[Any]) -> Any:
        if self.class_mode == "input":
            return x.copy()
        if self.class_mode == "categorical":
            return _one_hot(self.classes[rows], self.num_classes, self.dtype)
        return self.classes[rows].astype(self.dtype)


@export("preprocessing.image.DataFrameIterator")
class DataFrameIterator(_Files):
    """Batches from files that a data frame names, as `ImageDataGenerator.flow_from_dataframe` makes them."""

    allowed_class_modes = frozenset(("categorical", "binary", "sparse", "raw", "multi_output", "input", None))

    def __init__(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        image_data_generator: ImageDataGenerator | None = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = "channels_last",
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: str | None = "float32",
        validate_filenames: bool = True,
    ) -> None:
        self._prepare_files(
            image_data_generator, target_size, color_mode, subset, interpolation, keep_aspect_ratio,
            class_mode, data_format=data_format, save_to_dir=save_to_dir, save_prefix=save_prefix,
            save_format=save_format, dtype=dtype,
        )  # fmt: skip
        columns = [x_col, *([weight_col] if weight_col else [])]
        if class_mode in ("categorical", "binary", "sparse", "raw", "multi_output"):
            columns += list(y_col) if isinstance(y_col, (list, tuple)) else [y_col]
        for column in columns:
            if column not in dataframe.columns:
                raise ArgumentError(
                    f"The data frame has no column {column!r}. Its columns: {shown(list(dataframe.columns))}"
                )
        if class_mode == "multi_output" and not isinstance(y_col, (list, tuple)):
            raise ArgumentTypeError(
                f'`class_mode="multi_output"` takes a list of columns as `y_col`. Received: {y_col!r}'
            )
        wrong = next((name for name in dataframe[x_col] if not isinstance(name, (str, os.PathLike))), None)
        if wrong is not None:
            raise ArgumentTypeError(f"Column {x_col!r} must hold names of files. Received: {wrong!r}")
        self.directory = os.fspath(directory) if directory is not None else ""
        if validate_filenames:
            dataframe = self._existing(dataframe, x_col)
        has_classes = class_mode in ("categorical", "binary", "sparse")
        if has_classes:
            dataframe = self._with_classes(dataframe, y_col, classes)
        elif class_mode in ("input", None) and classes:
            warnings.warn(f"`classes` has no effect with class_mode={class_mode!r}.", stacklevel=3)
        dataframe = dataframe[_part(image_data_generator, subset, len(dataframe))]
        self.filenames = [os.fspath(name) for name in dataframe[x_col]]
        self._filepaths = [os.path.join(self.directory, name) for name in self.filenames]
        self._weights = dataframe[weight_col].to_numpy() if weight_col else None
        self._values: Any = None
        if has_classes:
            self.classes = [self._numbers(kinds) for kinds in dataframe[y_col]]
            self._values = self.classes
        elif class_mode == "raw":
            self._values = dataframe[y_col].to_numpy()
        elif class_mode == "multi_output":
            self._values = [np.array(dataframe[column].tolist()) for column in y_col]
        of = f" belonging to {len(self.class_indices)} classes" if has_classes else ""
        checked = "validated" if validate_filenames else "non-validated"
        print(f"Found {len(self._filepaths)} {checked} image filenames{of}.")
        self._found(batch_size, shuffle, seed, self._values)

    def _existing(self, dataframe: Any, x_col: str) -> Any:
        def is_image(name: Any) -> bool:
            path = os.path.join(self.directory, name)
            return path.lower().endswith(FORMATS) and os.path.isfile(path)

        there = np.array([is_image(name) for name in dataframe[x_col]], bool)
        if not there.all():
            bad = dataframe[x_col][~there].tolist()
            warnings.warn(
                f"{len(bad)} files of column {x_col!r} don't exist or are no images, and are left out: "
                f"{shown(bad)}",
                stacklevel=4,
            )
        return dataframe[there]

    def _with_classes(self, dataframe: Any, y_col: str, classes: Sequence[str] | None) -> Any:
        """The rows that have one of the classes, and the number of each class."""
        listed = self.class_mode == "categorical"
        kinds = [list(k) if listed and isinstance(k, (list, tuple)) else [k] for k in dataframe[y_col]]
        wrong = next((k for row in kinds for k in row if not isinstance(k, str)), None)
        if wrong is not None:
            raise ArgumentTypeError(
                f"With class_mode={self.class_mode!r}, column {y_col!r} must hold classes as text"
                f"{', or lists of text' if listed else ''}; `astype(str)` makes text. Received: {wrong!r}"
            )
        names = sorted({k for row in kinds for k in row}) if classes is None else list(dict.fromkeys(classes))
        self.class_indices = {name: number for number, name in enumerate(names)}
        self.num_classes = len(names)
        if self.class_mode == "binary" and len(names) != 2:
            found = f"{len(names)}: {shown(names)}"
            raise ArgumentError(f'`class_mode="binary"` takes 2 classes. Received {found}')
        return dataframe[np.array([any(k in self.class_indices for k in row) for row in kinds], bool)]

    def _numbers(self, kinds: Any) -> Any:
        if isinstance(kinds, (list, tuple)):
            return [self.class_indices[kind] for kind in kinds if kind in self.class_indices]
        return self.class_indices[kinds]

    @property
    def sample_weight(self) -> NDArray[Any] | None:
        return self._weights

    def _targets(self, rows: NDArray[Any], x: NDArray[Any]) -> Any:
        if self.class_mode == "input":
            return x.copy()
        if self.class_mode == "multi_output":
            return [values[rows] for values in self._values]
        if self.class_mode == "raw":
            return self._values[rows]
        numbers = [self._values[row] for row in rows.tolist()]
        if self.class_mode == "categorical":
            return _one_hot(numbers, self.num_classes, self.dtype)
        return np.array(numbers, self.dtype)
