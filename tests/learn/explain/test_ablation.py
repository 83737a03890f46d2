"""The answer without a part: zeros in its place, and nothing else changed."""

import numpy as np

from minunet import UNet
from minunet.autograd import no_grad
from minunet.learn.explain.ablation import outputs_without, removals
from minunet.learn.explain.trace import as_batch, trace
from minunet.models import UNet2015


def setting():
    model = UNet(depth=2, width=4).eval()
    rng = np.random.default_rng(6)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data = rng.uniform(-0.1, 0.3, parameter.shape).astype(np.float32)
    image = np.random.default_rng(4).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    x = as_batch(model, image)
    return model, x, trace(model, x)


def part_by_part(model, x, zero_skips=(), zero_bottleneck=False):
    """The network run piece by piece, with zeros where asked; level 0 is the image's."""
    skips = []
    with no_grad():
        for down in model.encoder:
            x, skip = down(x)
            skips.append(skip)
        x = model.bottleneck(x)
        x = x.data * 0 if zero_bottleneck else x
        for level, up in ((1, model.decoder[0]), (0, model.decoder[1])):
            x = up.convolutions(up.join(x, skips[level].data * 0 if level in zero_skips else skips[level]))
        return model.out(x).numpy()[0]


def test_each_part():
    model, x, records = setting()
    expected = {
        "skip 1 (8 × 12)": part_by_part(model, x, [0]),
        "skip 2 (4 × 6)": part_by_part(model, x, [1]),
        "all skips": part_by_part(model, x, [0, 1]),
        "the bottleneck": part_by_part(model, x, zero_bottleneck=True),
    }
    whole = part_by_part(model, x)
    found = {removal.title: outputs_without(model, x, removal) for removal in removals(records)}
    assert list(found) == list(expected)
    for title, outputs in found.items():
        assert np.allclose(outputs, expected[title], atol=1e-6), title
        assert not np.allclose(outputs, whole, atol=1e-6), title


def test_the_papers_network():
    model = UNet2015(3, 1, depth=1, width=4, activation="sigmoid", mirror=True).eval()
    x = np.random.default_rng(4).random((1, 8, 8, 3), np.float32)
    parts = removals(trace(model, x))
    assert [removal.title for removal in parts] == ["skip 1 (12 × 12)", "the bottleneck"]  # one skip is all of them
    assert all(outputs_without(model, x, removal).shape == (8, 8, 1) for removal in parts)
