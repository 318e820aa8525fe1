"""Rows for the recurrent layers; see cases.py."""

from __future__ import annotations

from tests.layers.cases import part, row

STEPS, ROWS, IMAGES, VOLUMES = (2, 5, 4), (2, 3, 6, 2), (2, 3, 5, 4, 2), (2, 2, 4, 3, 4, 2)
BACK = {"go_backwards": True, "return_sequences": True}
CASES = [
    row("SimpleRNN", STEPS, units=3),
    row("SimpleRNN", STEPS, units=3, activation="relu", use_bias=False, recurrent_regularizer="l2", **BACK),
    row("LSTM", STEPS, units=3),
    row("LSTM", STEPS, units=3, use_bias=False, dropout=0.2, recurrent_dropout=0.1, seed=1, **BACK),
    row("LSTM", STEPS, units=3, activation="sigmoid", unit_forget_bias=False, activity_regularizer="l2"),
    row("LSTM", STEPS, units=3, unroll=True, bias_constraint="non_neg", zero_output_for_mask=True),
    row("GRU", STEPS, units=3, return_sequences=True),
    row("GRU", STEPS, units=3, use_bias=False, dropout=0.2, **BACK),
    row("GRU", STEPS, units=3, reset_after=False, recurrent_activation="hard_sigmoid"),
    row("RNN", STEPS, cell=part("LSTMCell", units=3), return_sequences=True),
    row("RNN", STEPS, cell=part("GRUCell", units=3, use_bias=False)),
    row(
        "RNN",
        STEPS,
        cell=part("StackedRNNCells", cells=[part("SimpleRNNCell", units=3), part("LSTMCell", units=2)]),
    ),
    row("Bidirectional", STEPS, layer=part("LSTM", units=3)),
    row("Bidirectional", STEPS, layer=part("GRU", units=3, return_sequences=True), merge_mode="sum"),
    row(
        "Bidirectional",
        STEPS,
        layer=part("SimpleRNN", units=3),
        backward_layer=part("SimpleRNN", units=3, activation="relu", go_backwards=True),
        merge_mode="mul",
    ),
    row("TimeDistributed", STEPS, layer=part("Dense", units=3)),
    row("TimeDistributed", IMAGES, layer=part("Conv2D", filters=3, kernel_size=2), _unknown="batch"),
    row("ConvLSTM1D", ROWS, filters=3, kernel_size=2, _unknown="batch"),
    row(
        "ConvLSTM2D",
        IMAGES,
        filters=3,
        kernel_size=(2, 1),
        padding="same",
        strides=2,
        _unknown="batch",
        **BACK,
    ),
    row(
        "ConvLSTM2D",
        (2, 3, 2, 5, 4),
        filters=3,
        kernel_size=2,
        data_format="channels_first",
        dilation_rate=2,
        use_bias=False,
        _unknown="batch",
    ),
    row(
        "ConvLSTM3D", VOLUMES, filters=2, kernel_size=2, recurrent_activation="hard_sigmoid", _unknown="batch"
    ),
]
