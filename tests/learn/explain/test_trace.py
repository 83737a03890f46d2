"""What the layers have read and written: who read what from whom, and in which size."""

import numpy as np

from minunet import UNet
from minunet.learn.explain.trace import as_batch, network_input, trace
from minunet.models import UNet2015


def image(height, width):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_the_layers_of_a_u_net_and_what_each_reads():
    model = UNet(depth=1, width=4)
    records = trace(model, as_batch(model, image(4, 6)))
    assert [(r.name, r.sources) for r in records] == [
        ("Image", []),
        ("Conv_Down_1_1", [0]),
        ("Conv_Down_1_2", [1]),
        ("MaxPool_Down_1", [2]),
        ("Conv_Bottle_1", [3]),
        ("Conv_Bottle_2", [4]),
        ("Conv_Transp_Bottle", [5]),
        ("Concatenate_Bottle", [6, 2]),  # the skip connection
        ("Conv_Classif_1", [7]),
        ("Conv_Classif_2", [8]),
        ("Conv_Out", [9]),
    ]
    assert [r.output.shape for r in records[2:8]] == [(4, 6, 4), (2, 3, 4), (2, 3, 8), (2, 3, 8), (4, 6, 1), (4, 6, 5)]
    for record in records:
        for number, x in zip(record.sources, record.inputs):
            assert x is records[number].output or np.array_equal(x, records[number].output)


def test_the_image_is_that_of_the_file_from_0_to_1():
    model, pixels = UNet(depth=1, width=4), image(2, 2)
    first = trace(model, as_batch(model, pixels))[0].output
    assert first.dtype == np.float32 and np.allclose(first * 255, pixels, atol=1e-4)


def test_a_dropout_that_does_nothing_has_a_record_of_its_own():
    model = UNet(depth=1, width=4, dropout=0.5)
    names = {r.name: (n, r.sources) for n, r in enumerate(trace(model, as_batch(model, image(4, 4))))}
    assert names["Dropout_Down_1"][1] == [names["Conv_Down_1_2"][0]]
    assert names["Concatenate_Bottle"][1][1] == names["Dropout_Down_1"][0]  # what crosses over has passed it


def test_edges_are_mirrored_up_to_a_size_that_fits():
    pixels = image(5, 8)
    seen = network_input(UNet(depth=2, width=4), pixels)
    assert seen.shape == (8, 8, 3)
    assert np.array_equal(seen[:5], pixels) and np.array_equal(seen[5:], pixels[[3, 2, 1]])


def test_the_papers_network_mirrors_by_itself_and_answers_for_the_whole_image():
    model, pixels = UNet2015(3, 1, depth=1, width=4, activation="sigmoid"), image(7, 9)
    assert network_input(model, pixels) is pixels
    records = trace(model, as_batch(model, pixels))
    assert (records[1].kind, records[-1].kind, records[-1].output.shape) == ("Mirror", "CropLike", (7, 9, 1))
    assert np.array_equal(records[-1].output, model.predict(pixels))
