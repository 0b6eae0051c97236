"""See what the layers of a Keras CNN have learnt, by running their activations back to pixels."""

__version__ = "0.1.0.dev0"
