"""What is affine at inference, and so has one way back: its transpose.

Affine is what a layer makes of its inputs once its weights are fixed. Of the functions of
`keras.ops`, those that arithmetic and reshaping leave in a graph; a product or a quotient counts
only where it is one tensor's with a constant (`kinds`).
"""

from typing import Any

import keras
from keras import layers

AFFINE: tuple[Any, ...] = (
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.Conv2DTranspose,
    layers.Dense,
    layers.BatchNormalization,
    layers.Normalization,
    layers.Rescaling,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.Add,
    layers.Subtract,
    layers.Average,
    layers.Concatenate,
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.UpSampling2D,
    layers.Resizing,
    layers.CenterCrop,
    layers.RandomCrop,  # at inference, a central crop
    keras.ops.add,
    keras.ops.subtract,
    keras.ops.negative,
    keras.ops.multiply,
    keras.ops.divide,
    keras.ops.true_divide,
    keras.ops.matmul,
    keras.ops.average_pool,
    keras.ops.mean,
    keras.ops.sum,
    keras.ops.concatenate,
    keras.ops.stack,
    keras.ops.split,
    keras.ops.get_item,
    keras.ops.reshape,
    keras.ops.squeeze,
    keras.ops.expand_dims,
    keras.ops.transpose,
    keras.ops.moveaxis,
    keras.ops.swapaxes,
    keras.ops.flip,
    keras.ops.roll,
    keras.ops.pad,
    keras.ops.repeat,
    keras.ops.tile,
    keras.ops.broadcast_to,
    keras.ops.cast,
)
"""Layers and functions that are affine in all their inputs together."""

IDENTITIES: tuple[Any, ...] = (
    layers.Identity,
    layers.ActivityRegularization,
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.AlphaDropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.AugMix,
    layers.CutMix,
    layers.MixUp,
    layers.RandAugment,
    layers.RandomBrightness,
    layers.RandomColorDegeneration,
    layers.RandomColorJitter,
    layers.RandomContrast,
    layers.RandomElasticTransform,
    layers.RandomErasing,
    layers.RandomFlip,
    layers.RandomGaussianBlur,
    layers.RandomGrayscale,
    layers.RandomHue,
    layers.RandomInvert,
    layers.RandomPerspective,
    layers.RandomPosterization,
    layers.RandomRotation,
    layers.RandomSaturation,
    layers.RandomSharpness,
    layers.RandomShear,
    layers.RandomTranslation,
    layers.RandomZoom,
)
"""Layers that leave their input alone at inference."""
