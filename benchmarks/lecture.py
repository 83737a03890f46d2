"""The same start for every framework: the weights and the batch of the comparison with Keras, drawn from seeds."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))

from cases import unet_batch, unet_kernels, unet_weights  # noqa: F401

ENCODER = (8, 16, 32, 64, 128, 256)  # filters of each level; the bottleneck has 512
DECODER = ("Bottle", "Up_1", "Up_2", "Up_3", "Up_4", "Up_5")  # what each level upsamples from


def forward(x, conv, transpose, pool, concatenate):
    """Returns the logits of the lecture's U-Net, written once for frameworks that have its layers but not the model.

    conv(x, name), transpose(x, name)    applies the layer of that name; ReLU follows every conv except Conv_Out
    pool(x)                              halves height and width
    concatenate(a, b)                    puts the channels of b after those of a
    """
    skips = []
    for i in range(1, len(ENCODER) + 1):
        x = conv(conv(x, f"Conv_Down_{i}_1"), f"Conv_Down_{i}_2")
        skips.append(x)
        x = pool(x)
    for name in DECODER:
        x = conv(conv(x, f"Conv_{name}_1"), f"Conv_{name}_2")
        x = concatenate(transpose(x, f"Conv_Transp_{name}"), skips.pop())
    x = conv(conv(x, "Conv_Classif_1"), "Conv_Classif_2")
    return conv(x, "Conv_Out")
