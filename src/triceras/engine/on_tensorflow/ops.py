"""TensorFlow's own versions of ops, by name. Tensors come by position, static arguments by keyword."""

from triceras.engine.on_tensorflow import arrays, control, math, nn, normalization, random, recurrent

NATIVES = (
    math.NATIVES
    | arrays.NATIVES
    | control.NATIVES
    | nn.NATIVES
    | normalization.NATIVES
    | random.NATIVES
    | recurrent.NATIVES
)
TAKE_NUMBERS = math.TAKE_NUMBERS
