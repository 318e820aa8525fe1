"""Rows for activations, losses' helpers, normalizations, attention, convolution, pooling and images."""

from __future__ import annotations

import numpy as np

from tests.ops.case import Case

random = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return random.normal(size=shape).astype("float32")


def uniform(*shape: int) -> np.ndarray:
    return random.uniform(0.05, 0.95, size=shape).astype("float32")


def windows(reduce):
    """Pooling by loops: what `reduce` makes of every window."""

    def pool(x, pool_size, strides=None, padding="valid", data_format="channels_last"):
        if data_format == "channels_first":
            return np.moveaxis(pool(np.moveaxis(x, 1, -1), pool_size, strides, padding), -1, 1)
        rank = x.ndim - 2
        size = (pool_size,) * rank if isinstance(pool_size, int) else tuple(pool_size)
        steps = size if strides is None else (strides,) * rank if isinstance(strides, int) else tuple(strides)
        starts, counts = [], []
        for n, k, s in zip(x.shape[1:-1], size, steps, strict=True):
            count = -(-n // s) if padding == "same" else (n - k) // s + 1
            counts.append(count)
            starts.append(-(max((count - 1) * s + k - n, 0) // 2) if padding == "same" else 0)
        result = np.empty((len(x), *counts, x.shape[-1]), x.dtype)
        for place in np.ndindex(*counts):
            corner = [b + p * s for b, p, s in zip(starts, place, steps, strict=True)]
            cut = tuple(slice(max(c, 0), c + k) for c, k in zip(corner, size, strict=True))
            result[(slice(None), *place)] = reduce(x[(slice(None), *cut)], axis=tuple(range(1, rank + 1)))
        return result

    return pool


def regions(reduce):
    """Adaptive pooling by loops."""

    def pool(x, output_size, data_format="channels_last"):
        if data_format == "channels_first":
            return np.moveaxis(pool(np.moveaxis(x, 1, -1), output_size), -1, 1)
        counts = (output_size,) * (x.ndim - 2) if isinstance(output_size, int) else output_size
        result = np.empty((len(x), *counts, x.shape[-1]), x.dtype)
        for place in np.ndindex(*counts):
            sizes = zip(place, x.shape[1:-1], counts, strict=True)
            cut = [slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in sizes]
            result[(slice(None), *place)] = reduce(x[(slice(None), *cut)], axis=tuple(range(1, x.ndim - 1)))
        return result

    return pool


def projected(x, axis=-1):
    """Sparsemax by bisection (the reference's own doesn't sum to 1)."""
    low, high = x.max(axis, keepdims=True) - 1, x.max(axis, keepdims=True)
    for _ in range(60):
        middle = (low.astype("float64") + high) / 2
        heavy = np.maximum(x - middle, 0).sum(axis, keepdims=True) > 1
        low, high = np.where(heavy, middle, low), np.where(heavy, high, middle)
    return np.maximum(x - low, 0)


def softmax(x, axis):
    powers = np.exp(x - x.max(tuple(axis), keepdims=True))
    return powers / powers.sum(tuple(axis), keepdims=True)


X = np.array([[-3.5, -1.25, -0.3, 0.2], [0.75, 1.5, 4.0, 7.0]], "float32")
SIMPLE = (
    "relu relu6 sigmoid silu softplus softsign log_sigmoid elu selu celu gelu glu leaky_relu hard_sigmoid "
    "hard_silu hard_shrink soft_shrink tanh_shrink squareplus sparse_plus sparse_sigmoid softmax log_softmax"
)

V, V3, V2 = (
    normal(2, 7, 4),
    normal(1, 4, 5, 4, 2),
    normal(2, 6, 7, 3),
)  # batches with one, three and two dimensions
FIRST = np.moveaxis(V2, -1, 1).copy()
LABELS = np.array([[0.2, 0.8, 0.0], [0.0, 0.0, 1.0]], "float32")
PROBABILITIES = np.array([[0.3, 0.5, 0.2], [0.1, 0.0, 0.9]], "float32")
Q, K, W = normal(2, 4, 6, 8), normal(2, 5, 6, 8), normal(2, 5, 3, 8)

ACTIVATIONS = [Case(name, (X,)) for name in SIMPLE.split()] + [
    Case("hard_tanh", (X,), dtypes="float"),
    Case("elu", (X,), {"alpha": 0.5}),
    Case("celu", (X,), {"alpha": 0.5}),
    Case("gelu", (X,), {"approximate": False}),
    Case("glu", (X,), {"axis": 0}),
    Case("leaky_relu", (X,), {"negative_slope": 0.1}),
    Case("hard_shrink", (X,), {"threshold": 1.0}),
    Case("soft_shrink", (X,), {"threshold": 1.0}),
    Case("squareplus", (X,), {"b": 1}),
    Case("threshold", (X,), {"threshold": 1.0, "default_value": -2.0}),
    Case("softmax", (V,), {"axis": 1}),
    Case("softmax", (V,), {"axis": [0, 2]}),
    Case("softmax", (V,), {"axis": None}),
    Case("softmax", (X * 300,), tol=1e-4, grad=False),
    Case("log_softmax", (V,), {"axis": 1}),
    Case("log_softmax", (V,), {"axis": [0, 2]}, lambda x, axis: np.log(softmax(x, axis))),
    Case("log_softmax", (X * 300,), grad=False),
    Case("sparsemax", (X,), {}, projected),
    Case("sparsemax", (V,), {"axis": 1}, projected),
]

LOSSES = [
    Case("one_hot", (np.array([[0, 2, -1], [3, 1, 4]]),), {"num_classes": 4}),
    Case("one_hot", (np.array([[0, 2, -1], [3, 1, 4]]),), {"num_classes": 4, "axis": 1, "dtype": "int8"}),
    Case("multi_hot", (np.array([[0, 2, 0], [3, 1, 4]]),), {"num_classes": 4}),
    Case("multi_hot", (np.array([0, 2]),), {"num_classes": 3, "dtype": "bool"}, unknown=False),
    Case("categorical_crossentropy", (LABELS, PROBABILITIES), grad=False),
    Case("categorical_crossentropy", (LABELS, uniform(2, 3))),
    Case("categorical_crossentropy", (LABELS, X[:, :3] * 3), {"from_logits": True}),
    Case("categorical_crossentropy", (LABELS, uniform(2, 3)), {"axis": 0}),
    Case("sparse_categorical_crossentropy", (np.array([1, 2]), uniform(2, 3))),
    Case("sparse_categorical_crossentropy", (np.array([[1], [3]]), X * 3), {"from_logits": True}),
    Case("sparse_categorical_crossentropy", (np.array([[1, 5], [-1, 0]]), uniform(2, 2, 3))),
    Case("binary_crossentropy", (LABELS, uniform(2, 3))),
    Case("binary_crossentropy", (LABELS, PROBABILITIES), grad=False),
    Case("binary_crossentropy", (LABELS, X[:, 1:] * 5), {"from_logits": True}),
]

NORMALIZATIONS = [
    Case("moments", (V,), {"axes": [0, 1]}),
    Case("moments", (V,), {"axes": (0, 2), "keepdims": True}),
    Case("moments", (V + 1000,), {"axes": 1}, tol=1e-3, grad=False),
    Case("moments", (V,), {"axes": None}),
    Case("batch_normalization", (V, normal(4), uniform(4)), {"axis": -1}),
    Case(
        "batch_normalization", (V, normal(7), uniform(7), normal(7), normal(7)), {"axis": 1, "epsilon": 0.1}
    ),
    Case("layer_normalization", (V,), dtypes="float"),
    Case("layer_normalization", (V, normal(4), normal(4)), {"epsilon": 0.01}, dtypes="float"),
    Case("layer_normalization", (V, normal(7, 4), normal(7, 4)), {"axis": (1, 2)}, dtypes="float"),
    Case("layer_normalization", (V, normal(7)), {"axis": 1}, dtypes="float"),
    Case("layer_normalization", (V, normal(4), normal(4)), {"rms_scaling": True}, dtypes="float"),
    Case("rms_normalization", (V,), dtypes="float"),
    Case("rms_normalization", (V, normal(4)), {"epsilon": 0.01}, dtypes="float"),
    Case("normalize", (V,)),
    Case("normalize", (V,), {"axis": (0, 2), "epsilon": 2.0}),
    Case("normalize", (np.abs(V) + 0.1,), {"axis": 1, "order": 3}),
    Case("normalize", (V,), {"axis": None, "order": 1}, lambda x, axis, order: x / np.abs(x).sum()),
]

ATTENTION = [
    Case("dot_product_attention", (Q, K, K), dtypes="float"),
    Case("dot_product_attention", (Q, W, W), {"scale": 0.1}, dtypes="float"),
    Case("dot_product_attention", (Q, K, K, normal(2, 1, 4, 5)), {"is_causal": True}, dtypes="float"),
    Case("dot_product_attention", (Q, K, K, None, random.random((2, 1, 4, 5)) > 0.5), dtypes="float"),
    Case(
        "dot_product_attention", (Q, K, K, None, np.zeros((2, 1, 4, 5), bool)), dtypes="float", unknown=False
    ),
]

CONVOLUTIONS = [
    Case("conv", (V, normal(3, 4, 5)), dtypes=""),
    Case("conv", (V, normal(3, 2, 6)), {"padding": "same", "strides": 2}, dtypes=""),
    Case("conv", (V2, normal(3, 2, 3, 4)), {"strides": (2, 1), "padding": "SAME"}, dtypes=""),
    Case("conv", (V2, normal(3, 2, 3, 4)), {"dilation_rate": (1, 2)}, dtypes=""),
    Case("conv", (V2, normal(2, 2, 1, 6)), {"padding": "same"}, dtypes=""),
    Case("conv", (FIRST, normal(2, 2, 3, 4)), {"data_format": "channels_first", "strides": 2}, dtypes=""),
    Case("conv", (V3, normal(2, 3, 2, 2, 3)), {"padding": "same", "strides": (1, 2, 1)}, dtypes=""),
    Case("depthwise_conv", (V, normal(3, 4, 2)), {"padding": "same"}, dtypes=""),
    Case("depthwise_conv", (V2, normal(3, 2, 3, 2)), {"strides": 2}, dtypes=""),
    Case(
        "depthwise_conv",
        (FIRST, normal(3, 3, 3, 1)),
        {"data_format": "channels_first", "dilation_rate": 2},
        dtypes="",
    ),
    Case("separable_conv", (V, normal(3, 4, 2), normal(1, 8, 3)), dtypes=""),
    Case(
        "separable_conv",
        (V2, normal(3, 2, 3, 2), normal(1, 1, 6, 4)),
        {"strides": 2, "padding": "same"},
        dtypes="",
    ),
    Case("conv_transpose", (V, normal(3, 5, 4)), dtypes=""),
    Case("conv_transpose", (V, normal(1, 5, 4)), {"strides": 3}, dtypes=""),
    Case("conv_transpose", (V, normal(4, 5, 4)), {"strides": 3, "padding": "same"}, dtypes=""),
    Case(
        "conv_transpose",
        (V, normal(3, 5, 4)),
        {"strides": 2, "padding": "same", "output_padding": 0},
        dtypes="",
    ),
    Case("conv_transpose", (V2, normal(3, 2, 4, 3)), {"strides": 2, "padding": "same"}, dtypes=""),
    Case("conv_transpose", (V2, normal(3, 2, 4, 3)), {"strides": 2, "output_padding": (1, 0)}, dtypes=""),
    Case("conv_transpose", (V2, normal(3, 2, 4, 3)), {"dilation_rate": 2, "padding": "same"}, dtypes=""),
    Case(
        "conv_transpose",
        (FIRST, normal(2, 2, 4, 3)),
        {"strides": 2, "data_format": "channels_first"},
        dtypes="",
    ),
    Case("conv_transpose", (V3, normal(2, 3, 2, 3, 2)), {"padding": "same", "strides": (1, 2, 1)}, dtypes=""),
]

POOLING = [
    Case(f"{name}_pool", (x,), statics, windows(reduce), dtypes="")
    for name, reduce in (("max", np.max), ("min", np.min), ("average", np.mean))
    for x, statics in (
        (V, {"pool_size": 2}),
        (V, {"pool_size": 3, "strides": 2, "padding": "same"}),
        (V2, {"pool_size": 2, "strides": 2}),
        (V2, {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}),
        (V2, {"pool_size": (6, 7)}),
        (FIRST, {"pool_size": 3, "strides": 1, "data_format": "channels_first"}),
        (V3, {"pool_size": (2, 3, 2), "strides": 2, "padding": "same"}),
    )
] + [
    Case(
        "max_pool",
        (np.arange(42).reshape(1, 6, 7, 1) * 5 % 17,),
        {"pool_size": 2, "padding": "same"},
        windows(np.max),
    ),
    Case(
        "min_pool",
        (np.arange(12, dtype="uint8").reshape(1, 12, 1),),
        {"pool_size": 3},
        windows(np.min),
        dtypes="",
    ),
    Case("adaptive_max_pool", (V,), {"output_size": 3}, regions(np.max), dtypes=""),
    Case("adaptive_max_pool", (V2,), {"output_size": (3, 7)}, regions(np.max), dtypes=""),
    Case(
        "adaptive_max_pool",
        (FIRST,),
        {"output_size": (4, 9), "data_format": "channels_first"},
        regions(np.max),
        dtypes="",
    ),
    Case("adaptive_average_pool", (V,), {"output_size": 3}, regions(np.mean), dtypes=""),
    Case("adaptive_average_pool", (V2,), {"output_size": (3, 7)}, regions(np.mean), dtypes=""),
    Case("adaptive_average_pool", (V2,), {"output_size": (4, 9)}, regions(np.mean), dtypes=""),
    Case("adaptive_average_pool", (V3,), {"output_size": (2, 3, 1)}, regions(np.mean), dtypes=""),
]

REARRANGING = [
    Case("space_to_depth", (normal(2, 4, 6, 3),), {"block_size": 2}),
    Case("space_to_depth", (normal(2, 3, 4, 6),), {"block_size": 2, "data_format": "channels_first"}),
    Case("depth_to_space", (normal(2, 2, 3, 8),), {"block_size": 2}),
    Case("depth_to_space", (normal(2, 18, 2, 3),), {"block_size": 3, "data_format": "channels_first"}),
    Case("unfold", (FIRST,), {"kernel_size": 2}),
    Case("unfold", (FIRST,), {"kernel_size": (2, 3), "stride": (2, 1), "padding": 1, "dilation": (1, 2)}),
    Case("fold", (normal(2, 12, 9),), {"output_size": 4, "kernel_size": 2}),
    Case(
        "fold",
        (normal(2, 12, 16),),
        {"output_size": (6, 6), "kernel_size": (2, 3), "stride": (2, 1), "padding": 1, "dilation": (1, 2)},
    ),
    Case("psnr", (uniform(2, 3), uniform(2, 3)), {"max_val": 1.0}),
    Case("polar", (uniform(2, 3), normal(2, 3)), dtypes="float"),
]

IMAGE, IMAGES = uniform(5, 6, 3), uniform(2, 7, 5, 3)
BYTES = random.integers(0, 256, (2, 5, 6, 3)).astype("uint8")
FLIPPED = np.moveaxis(IMAGES, -1, 1).copy()

PICTURES = [
    Case("image.resize", (IMAGE,), {"size": (3, 8)}),
    Case("image.resize", (IMAGES,), {"size": (3, 8), "antialias": True}),
    Case("image.resize", (IMAGES,), {"size": (4, 9), "interpolation": "nearest"}),
    Case("image.resize", (IMAGES,), {"size": (3, 8), "interpolation": "bicubic", "antialias": True}),
    Case("image.resize", (IMAGES,), {"size": (9, 4), "interpolation": "bicubic"}),
    Case("image.resize", (IMAGES,), {"size": (9, 4), "interpolation": "lanczos3"}),
    Case("image.resize", (IMAGES,), {"size": (4, 9), "interpolation": "lanczos5", "antialias": True}),
    Case("image.resize", (FLIPPED,), {"size": (4, 9), "data_format": "channels_first"}),
    Case("image.resize", (IMAGES,), {"size": (3, 7), "crop_to_aspect_ratio": True}),
    Case("image.resize", (IMAGES,), {"size": (3, 7), "pad_to_aspect_ratio": True, "fill_value": 0.5}),
    Case("image.resize", (BYTES,), {"size": (3, 4)}),
    Case("image.resize", (BYTES,), {"size": (9, 8), "interpolation": "bicubic"}),
    Case(
        "image.scale_and_translate",
        (IMAGES, np.array([0.7, 1.9], "float32"), np.array([0.1, -0.2], "float32")),
        {"output_shape": (2, 5, 8, 3), "spatial_dims": (1, 2), "method": "linear"},
        unknown=False,
    ),
    Case(
        "image.crop_images",
        (BYTES,),
        {"top_cropping": 1, "bottom_cropping": 1, "left_cropping": 2, "target_width": 3},
    ),
    Case(
        "image.crop_images",
        (IMAGE,),
        {"bottom_cropping": 0, "right_cropping": 1, "target_height": 2, "target_width": 3},
    ),
    Case(
        "image.pad_images",
        (BYTES,),
        {"top_padding": 1, "bottom_padding": 1, "left_padding": 2, "target_width": 9},
    ),
    Case(
        "image.pad_images",
        (FLIPPED,),
        {
            "bottom_padding": 0,
            "right_padding": 1,
            "target_height": 9,
            "target_width": 8,
            "data_format": "channels_first",
        },
    ),
    Case("image.rgb_to_grayscale", (IMAGES,)),
    Case("image.rgb_to_grayscale", (BYTES,)),
    Case("image.rgb_to_grayscale", (FLIPPED,), {"data_format": "channels_first"}),
    Case("image.rgb_to_hsv", (IMAGES,)),
    Case("image.rgb_to_hsv", (np.array([[[0, 0, 0], [0.5, 0.5, 0.5], [1, 0, 1]]], "float32"),), grad=False),
    Case("image.hsv_to_rgb", (IMAGES,)),
    Case("image.hsv_to_rgb", (FLIPPED,), {"data_format": "channels_first"}),
    Case("image.extract_patches", (IMAGES,), {"size": 2}),
    Case("image.extract_patches", (IMAGE,), {"size": (2, 3), "strides": 1, "dilation_rate": 2}),
    Case(
        "image.extract_patches",
        (FLIPPED,),
        {
            "size": (3, 2),
            "strides": 2,
            "padding": "same",
            "data_format": "channels_first",
        },
    ),
    Case("image.extract_patches", (V3,), {"size": (2, 2, 2)}),
    Case("image.extract_patches_3d", (V3,), {"size": 2, "strides": 1, "padding": "same"}),
    Case(
        "image.gaussian_blur",
        (IMAGES,),
        {"kernel_size": (3, 5), "sigma": (1.0, 2.0), "data_format": "channels_last"},
    ),
    Case("image.gaussian_blur", (FLIPPED[0],), {"data_format": "channels_first"}),
    Case("image.sobel_edges", (IMAGES,)),
    Case("image.sobel_edges", (FLIPPED,), {"data_format": "channels_first"}),
    Case("image.ssim", (IMAGES, uniform(2, 7, 5, 3)), {"filter_size": 3}, unknown=False, dtypes="float"),
    Case("image.ssim", tuple(FLIPPED), {"filter_size": 4, "max_val": 2.0, "data_format": "channels_first"}),
]

SCATTERED = random.uniform(-9, 14, (2, 4, 5)).astype("float32")
TURNS = np.array(
    [
        [0.8313, 0.3107, 1.3729, -0.2317, 1.1291, 0.4133, 0, 0],
        [-1.0113, 0.0319, 4.7123, 0.1327, 0.9117, -1.2311, 0, 0],
    ],
    "float32",
)
CORNERS = np.array([[0, 0], [4, 0], [0, 6], [4, 6]], "float32")
MOVED = CORNERS + random.uniform(-1, 1, (2, 4, 2)).astype("float32")

WARPED = [
    *(
        Case("image.map_coordinates", (IMAGE[..., 0], SCATTERED), {"order": order, "fill_mode": mode})
        for order in (0, 1)
        for mode in ("constant", "nearest", "wrap", "mirror", "reflect")
    ),
    Case("image.map_coordinates", (IMAGE, uniform(3, 4) * 4), {"order": 1, "fill_value": 2.5}),
    Case("image.map_coordinates", (uniform(7), uniform(1, 4, 2) * 12), {"order": 1, "fill_mode": "wrap"}),
    Case("image.map_coordinates", (BYTES[0, ..., 0], SCATTERED), {"order": 1, "fill_value": 9}),
    *(
        Case("image.affine_transform", (IMAGES, TURNS), {"fill_mode": mode, "fill_value": 0.3})
        for mode in ("constant", "nearest", "wrap", "mirror", "reflect")
    ),
    Case("image.affine_transform", (IMAGE, TURNS[0]), {"interpolation": "nearest", "fill_mode": "reflect"}),
    Case("image.affine_transform", (FLIPPED, TURNS), {"data_format": "channels_first"}),
    Case("image.affine_transform", (BYTES, TURNS), {"interpolation": "nearest", "fill_value": 7}),
    Case("image.perspective_transform", (IMAGES, np.stack([CORNERS] * 2), MOVED), dtypes="float", tol=1e-4),
    Case(
        "image.perspective_transform",
        (FLIPPED[0], CORNERS, MOVED[0]),
        {"interpolation": "nearest", "fill_value": 0.5, "data_format": "channels_first"},
        grad=False,
    ),
    Case(  # the field is random: of images that are the same everywhere nothing changes
        "image.elastic_transform",
        (np.full((2, 6, 5, 3), 0.5, "float32"),),
        {"sigma": 1.0, "seed": 3},
        expect=lambda images, **_: images,
        grad=False,
    ),
]

CASES = ACTIVATIONS + LOSSES + NORMALIZATIONS + ATTENTION + CONVOLUTIONS + POOLING + REARRANGING
CASES += PICTURES + WARPED
