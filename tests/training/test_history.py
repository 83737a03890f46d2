"""The rows of scores, read back: what a file from somebody else may hold in their place."""

import json

import pytest

from minunet.training.history import history_csv, read_rows


def row(epoch=1, **changes):
    names = ("train_loss", "val_loss", "train_iou", "val_iou", "lr", "seconds")
    return {"epoch": epoch, **dict.fromkeys(names, 0.5), **changes}


def test_rows_come_back_as_they_were():
    rows = [row(1), row(2, val_loss=float("nan"), further=7)]
    assert read_rows(json.dumps(rows), ("iou",))[0] == rows[0]
    assert history_csv(read_rows(json.dumps(rows[:1]), ("iou",)), ("iou",)).splitlines() == [
        "epoch,train_loss,val_loss,train_iou,val_iou,lr",
        "1,0.500000,0.500000,0.500000,0.500000,0.5",
    ]
    assert read_rows("[]", ("iou",)) == []


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "null",
        "7",
        '"rows"',
        "[null]",
        "[[]]",
        "not json",
        "[" * 100_000,
        json.dumps([row(2)]),
        json.dumps([row(1), row(1)]),
        json.dumps([row("=1+1")]),
        json.dumps([row(1, lr="=HYPERLINK(0)")]),
        json.dumps([row(1, val_iou=None)]),
        json.dumps([row(1, val_iou=True)]),
        json.dumps([row(1, further=[1])]),
        json.dumps([row(1, val_iou=10**400)]),
        json.dumps([row(1, train_loss=-1e300)]),
        json.dumps([row(1, val_loss=float("inf"))]),
        json.dumps([row(1, lr=-0.5)]),
        json.dumps([row(1, seconds=float("nan"))]),
        json.dumps([{name: value for name, value in row(1).items() if name != "val_iou"}]),
        json.dumps([{name: value for name, value in row(1).items() if name != "seconds"}]),
    ],
)
def test_what_is_no_history_is_a_value_error(text):
    with pytest.raises(ValueError):
        read_rows(text, ("iou",))
