"""How a person is told to open TensorBoard."""

# TensorBoard keeps ten steps of each picture unless it is told otherwise.
EVERY_STEP = "--samples_per_plugin images=1000"
