"""The same start for every framework: weights and batch of the comparison with Keras, drawn from seeds."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))

from cases import unet_batch, unet_kernels, unet_weights  # noqa: F401

DOWN = (8, 16, 32, 64, 128, 256)  # filters of the levels down; the bottleneck has 512
UP = ("Bottle", "Up_1", "Up_2", "Up_3", "Up_4", "Up_5")


def forward(x, conv, transpose, pool, concatenate):
    """The logits of the lecture's U-Net, written once for frameworks that have functions but no model of it.

    conv(x, name), transpose(x, name)    the layer of that name; ReLU after every conv but Conv_Out
    pool(x), concatenate(a, b)           halves height and width; channels of a, then those of b
    """
    skips = []
    for i in range(1, len(DOWN) + 1):
        x = conv(conv(x, f"Conv_Down_{i}_1"), f"Conv_Down_{i}_2")
        skips.append(x)
        x = pool(x)
    for name in UP:
        x = conv(conv(x, f"Conv_{name}_1"), f"Conv_{name}_2")
        x = concatenate(transpose(x, f"Conv_Transp_{name}"), skips.pop())
    x = conv(conv(x, "Conv_Classif_1"), "Conv_Classif_2")
    return conv(x, "Conv_Out")
