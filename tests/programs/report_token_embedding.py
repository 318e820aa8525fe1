"""The seminar report's layer written with `ops` (3.3.2), its names made to agree."""

import numpy as np

import triceras as keras
from triceras import ops


class TokenAndPositionEmbedding(keras.Layer):
    def __init__(self, max_length, vocab_size, embed_dim):
        super().__init__()
        self.token_embed = self.add_weight(
            shape=(vocab_size, embed_dim),
            initializer='random_uniform',
            trainable=True,
        )

        self.positional_embed = self.add_weight(
            shape=(max_length, embed_dim),
            initializer='random_uniform',
            trainable=True,
        )

    def call(self, token_ids):
        length = token_ids.shape[-1]
        positions = ops.arange(0, length, dtype='int32')
        position_vectors = ops.take(self.positional_embed, positions, axis=0)

        token_ids = ops.cast(token_ids, dtype='int32')
        token_vectors = ops.take(self.token_embed, token_ids, axis=0)

        embed = token_vectors + position_vectors

        power_sum = ops.sum(ops.square(embed), axis=1, keepdims=True)
        return embed / ops.sqrt(ops.maximum(power_sum, 1e-7))


# Does a sequence of 12 tokens hold more small ones than large ones?
rng = np.random.default_rng(0)
tokens = rng.integers(0, 40, (800, 12))
answers = ((tokens < 20).sum(axis=1) > 6).astype('float32')

layer = TokenAndPositionEmbedding(max_length=12, vocab_size=40, embed_dim=8)
embedded = layer(tokens[:2])
length = float(ops.sqrt(ops.sum(ops.square(embedded[0, :, 0]))))

model = keras.Sequential([
    keras.Input(shape=(12,), dtype='int32'),
    layer,
    keras.layers.GlobalAveragePooling1D(),
    keras.layers.Dense(1, activation='sigmoid'),
])
model.compile(optimizer=keras.optimizers.Adam(0.03), loss='binary_crossentropy', metrics=['accuracy'])
history = model.fit(tokens[:600], answers[:600], epochs=8, verbose=0)
accuracy = model.evaluate(tokens[600:], answers[600:], verbose=0)[1]
print(model.count_params(), [weight.shape for weight in model.weights])
