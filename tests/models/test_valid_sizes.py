"""Which sizes a network of valid convolutions takes: against its arithmetic, step by step."""

import numpy as np
import pytest

from minunet.models import input_size, output_size, sizes_that_fit, valid_sizes


def run(n, depth):
    """The size after the network, computed layer by layer; None where a size does not fit."""
    for _ in range(depth):
        n -= 4
        if n < 1 or n % 2:
            return None
        n //= 2
    n -= 4
    for _ in range(depth):
        if n < 1:
            return None
        n = 2 * n - 4
    return n if n >= 1 else None


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_every_size_up_to_700(depth):
    outputs = {n: run(n, depth) for n in range(1, 700)}
    fitting = [n for n, output in outputs.items() if output is not None]
    assert len(fitting) > 5
    assert list(sizes_that_fit(1, 699, depth)) == fitting
    for n, output in outputs.items():
        assert valid_sizes.fits(n, depth) == (output is not None)
        if output is None:
            with pytest.raises(ValueError, match=f"an input of {n} pixels does not fit at depth {depth}"):
                output_size(n, depth)
        else:
            assert output_size(n, depth) == output == n - 2 * valid_sizes.margin(depth)
    for wanted in range(1, outputs[fitting[-1]] + 1):
        assert input_size(wanted, depth) == next(n for n in fitting if outputs[n] >= wanted)


def test_the_papers_figure():
    assert output_size(572) == 388 and input_size(388) == 572 and input_size(389) == 588
    assert valid_sizes.margin() == 92 and valid_sizes.crops() == [88, 40, 16, 4]  # 568-392, 280-200, 136-104, 64-56


def test_errors_name_the_nearest_sizes():
    with pytest.raises(ValueError, match="an input of 570 pixels does not fit at depth 4.*: 556 and 572 do"):
        output_size(570)
    with pytest.raises(ValueError, match="an input of 30 pixels .*: 188 is the smallest size that does"):
        output_size(30)
    with pytest.raises(ValueError, match="no input size from 560 to 570 fits at depth 4: the nearest are 556 and 572"):
        sizes_that_fit(560, 570)
    with pytest.raises(ValueError, match="input_size: output is 0: it must be at least 1"):
        input_size(0)
    with pytest.raises(ValueError, match="input_size: depth is 0: it must be at least 1"):
        input_size(4, 0)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 20, 33, 190])
def test_mirrored_rows_walk_back_and_forth(n):
    """Row by row: at each edge the direction turns round, and the edge itself is not repeated."""
    rows = valid_sizes.mirrored_indices(n, depth=2)
    before = valid_sizes.margin(2)
    assert valid_sizes.fits(len(rows), 2) and 0 <= output_size(len(rows), 2) - n < 4
    assert rows[before : before + n].tolist() == list(range(n))
    for step in (1, -1):
        start = before if step == -1 else before + n - 1
        place, row, direction = start, rows[start], step
        while 0 <= place + step < len(rows):
            if n > 1:
                direction = -direction if not 0 <= row + direction < n else direction
                row += direction
            place += step
            assert rows[place] == row
    assert np.array_equal(np.unique(rows), np.arange(n))


def test_a_depth_that_is_not_given_is_the_papers():
    """572 rows become 388 in the paper's figure; 156 is too few for four levels, 188 is enough."""
    assert [n for n in range(150, 600) if valid_sizes.fits(n)] == list(range(188, 600, 16))
