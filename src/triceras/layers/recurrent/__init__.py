"""Recurrent layers: `base` runs any cell along time, `cells` hold the weights of one step."""

from triceras.layers.recurrent import base, cells, conv_lstm, layers, wrappers  # noqa: F401 - they register their names
