"""Layers that hold parameters."""

from minunet.nn import init
from minunet.nn.layers import Concatenate, Conv2D, ConvTranspose2D, MaxPool2D, ReLU, Sigmoid
from minunet.nn.module import Module

__all__ = ["Concatenate", "Conv2D", "ConvTranspose2D", "MaxPool2D", "Module", "ReLU", "Sigmoid", "init"]
