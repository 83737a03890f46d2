"""Modules: layers, named and called as Keras names and calls them, and the networks built from them."""

from minunet.nn import init
from minunet.nn.crop import Crop
from minunet.nn.layers import BatchNorm, Concatenate, Conv2D, ConvTranspose2D, Dropout, MaxPool2D, ReLU, Sigmoid
from minunet.nn.module import Module

__all__ = [
    "BatchNorm",
    "Concatenate",
    "Conv2D",
    "ConvTranspose2D",
    "Crop",
    "Dropout",
    "MaxPool2D",
    "Module",
    "ReLU",
    "Sigmoid",
    "init",
]
