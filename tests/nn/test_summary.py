"""The table of layers: rows, connections, totals."""

import numpy as np

from minunet import Tensor, UNet, nn
from minunet.nn.summary import layer_rows, summary_text

LECTURE = [  # some rows, as the lecture's Keras model has them: name, output shape, parameters, connected to
    ("Conv_Down_1_1", (None, 256, 256, 8), 224, ["input"]),
    ("MaxPool_Down_1", (None, 128, 128, 8), 0, ["Conv_Down_1_2"]),
    ("Conv_Down_2_1", (None, 128, 128, 16), 1168, ["MaxPool_Down_1"]),
    ("MaxPool_Down_6", (None, 4, 4, 256), 0, ["Conv_Down_6_2"]),
    ("Conv_Bottle_2", (None, 4, 4, 512), 2359808, ["Conv_Bottle_1"]),
    ("Conv_Transp_Bottle", (None, 8, 8, 64), 131136, ["Conv_Bottle_2"]),
    ("Concatenate_Bottle", (None, 8, 8, 320), 0, ["Conv_Transp_Bottle", "Conv_Down_6_2"]),
    ("Conv_Up_1_1", (None, 8, 8, 256), 737536, ["Concatenate_Bottle"]),
    ("Concatenate_Up_5", (None, 256, 256, 10), 0, ["Conv_Transp_Up_5", "Conv_Down_1_2"]),
    ("Conv_Classif_1", (None, 256, 256, 16), 1456, ["Concatenate_Up_5"]),
    ("Conv_Out", (None, 256, 256, 1), 17, ["Conv_Classif_2"]),
]


def test_rows_of_the_lecture():
    rows = layer_rows(UNet(), (256, 256, 3))
    by_name = {name: (shape, parameters, before) for name, _, shape, parameters, before in rows}
    for name, *expected in LECTURE:
        assert by_name[name] == tuple(expected)
    assert rows[0] == ("input", "Input", (None, 256, 256, 3), 0, [])
    assert len(rows) == len(by_name) == 1 + 6 * 3 + 6 * 4 + 3
    assert sum(row[3] for row in rows) == 6_667_639
    assert {row[1] for row in rows} == {"Input", "Conv2D", "MaxPool2D", "ConvTranspose2D", "Concatenate"}


def test_the_table_is_printed(capsys):
    UNet(depth=1, width=2).summary((8, 12))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'Model: "UNet"'
    assert lines[2].split("  ")[0] == "Layer (type)" and lines[2].endswith("Connected to")
    row = next(line for line in lines if line.startswith("Concatenate_Bottle"))
    assert row.split() == [
        "Concatenate_Bottle",
        "(Concatenate)",
        "(None,",
        "8,",
        "12,",
        "3)",
        "0",
        "Conv_Transp_Bottle,",
        "Conv_Down_1_2",
    ]
    columns = [line.index("Conv_Down_1_1") for line in lines if line.endswith("Conv_Down_1_1")]
    assert columns == [lines[2].index("Connected to")]


def test_totals_in_megabytes():
    text = summary_text(UNet(), (64, 64, 3))
    assert "Total params: 6,667,639 (25.44 MB)" in text  # times 4 bytes, divided by 2²⁰: 25.435
    assert "Trainable params: 6,667,639 (25.44 MB)" in text and "Non-trainable params: 0 (0.00 MB)" in text
    assert "Total params: 6,667,639 (50.87 MB)" in summary_text(UNet().astype("float64"), (64, 64, 3))


def test_any_module():
    class Twice(nn.Module):
        def __init__(self):
            self.conv = nn.Conv2D(3, 3, 1)

        def forward(self, x):
            return nn.Concatenate(name="both")(self.conv(self.conv(x)), x, Tensor(np.zeros((1, 4, 4, 1), "float32")))

    rows = layer_rows(Twice(), (4, 4, 3))
    assert [row[0] for row in rows] == ["input", "conv2d_1", "conv2d_2", "both"]
    assert rows[3] == ("both", "Concatenate", (None, 4, 4, 7), 0, ["conv2d_2", "input", "?"])
    assert "Total params: 12 " in summary_text(Twice(), (4, 4, 3), name="Two")  # one layer, used twice


def test_the_model_is_left_unchanged():
    model = UNet(depth=1, width=1)
    before = model.state_dict()
    summary_text(model, (4, 4, 3))
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters()) and model.training


def test_batch_norm_and_dropout_are_counted_as_in_keras():
    """Batch normalization has 4 numbers per channel, two of them trained; dropout has none."""
    model = UNet(depth=1, width=2, batch_norm=True, dropout=0.25)
    rows = layer_rows(model, (8, 12, 3))
    by_name = {name: (kind, parameters, before) for name, kind, _, parameters, before in rows}
    assert by_name["Conv_Down_1_1"] == ("Conv2D", 3 * 3 * 3 * 2, ["input"])  # no bias
    assert by_name["BatchNorm_Down_1_2"] == ("BatchNorm", 8, ["Conv_Down_1_2"])
    assert by_name["Dropout_Down_1"] == ("Dropout", 0, ["BatchNorm_Down_1_2"])
    assert by_name["MaxPool_Down_1"][2] == ["Dropout_Down_1"] and by_name["Conv_Transp_Bottle"][2] == ["Dropout_Bottle"]
    channels = 2 + 2 + 4 + 4 + 4 + 4
    trained = sum(p.size for p in model.parameters())
    text = summary_text(model, (8, 12, 3))
    assert f"Non-trainable params: {2 * channels} " in text and f"Total params: {trained + 2 * channels} " in text
    assert sum(row[3] for row in rows) == trained + 2 * channels


def test_the_table_changes_no_average_and_draws_nothing():
    model = UNet(depth=1, width=1, batch_norm=True, dropout=0.5)
    before = model.state_dict()
    summary_text(model, (4, 4, 3))
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())
    assert all(module.training for module in model.modules())
