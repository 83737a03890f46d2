"""What a pixel of a mask can say, and the tables that lead there."""

import numpy as np
import pytest

from minunet.data.labels import IGNORE, MEANINGS, USUAL, check_table, lookup, translate, trimap_table


@pytest.mark.parametrize("border", MEANINGS)
def test_the_boundary_of_a_trimap_becomes_what_was_asked_for(border):
    table = trimap_table(border)
    assert table == {1: 1, 2: 0, 3: MEANINGS[border]}
    trimap = np.array([[1, 2, 3]], np.uint8)
    assert lookup(table)[trimap].tolist() == [[1, 0, MEANINGS[border]]]
    assert np.array_equal(lookup(table)[trimap], translate(trimap, [table])) and lookup(table).dtype == np.uint8


def test_the_first_table_that_fits_is_taken():
    assert translate(np.array([[0, 0]]), [{0: 1}, {0: 0}]).tolist() == [[1, 1]]
    assert translate(np.array([[0, 255]]), USUAL).tolist() == [[0, 1]]
    assert translate(np.array([[0, 1]]), USUAL).tolist() == [[0, 1]]
    assert translate(np.array([[0, 1, 255]]), USUAL) is None
    assert translate(np.array([[1000, 7]]), [{7: IGNORE, 1000: 1}]).tolist() == [[1, IGNORE]]


@pytest.mark.parametrize(
    "values, error", [({}, ValueError), ({0: 2}, ValueError), ({-1: 0}, ValueError), ({0.5: 1}, TypeError)]
)
def test_a_table_must_lead_from_integers_to_classes(values, error):
    with pytest.raises(error):
        check_table(values)
    assert check_table([[0, 0], [7, 255]]) == check_table({0: 0, 7: 255}) == {0: 0, 7: 255}
