"""PyTorch's own versions of ops, by name. Tensors come by position, static arguments by keyword."""

from triceras.engine.on_torch import arrays, control, ctc, math, nn, random, recurrent

NATIVES = (
    math.NATIVES
    | arrays.NATIVES
    | control.NATIVES
    | nn.NATIVES
    | random.NATIVES
    | recurrent.NATIVES
    | ctc.NATIVES
)
TAKE_NUMBERS = math.TAKE_NUMBERS
