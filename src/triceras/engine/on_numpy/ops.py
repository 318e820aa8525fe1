"""NumPy's own versions of ops, by name. Tensors come by position, static arguments by keyword."""

from triceras.engine.on_numpy import arrays, math, nn, random

NATIVES = math.NATIVES | arrays.NATIVES | nn.NATIVES | random.NATIVES
