"""Pairs of objects that share pixels, against loops over all pairs."""

import numpy as np
import pytest

from minunet.metrics.overlaps import overlaps


@pytest.mark.parametrize("high", [1, 4, 2**31 - 1])
@pytest.mark.parametrize("shape", [(0,), (1,), (7, 9), (3, 4, 5)])
def test_pairs_and_areas(shape, high):
    random = np.random.default_rng(len(shape))
    true, found = random.choice(np.linspace(0, high, 6).astype(int), (2, *shape))
    o = overlaps(true, found)
    expected = {
        (t, f): int(((true == t) & (found == f)).sum())
        for t in np.unique(true).tolist()
        for f in np.unique(found).tolist()
        if ((true == t) & (found == f)).any()
    }
    pairs = zip(o.true[o.i].tolist(), o.found[o.j].tolist())
    assert dict(zip(pairs, o.common.tolist())) == expected
    assert o.true_areas.tolist() == [int((true == t).sum()) for t in o.true]
    assert o.found_areas.tolist() == [int((found == f).sum()) for f in o.found]
    unions = [int(((true == t) | (found == f)).sum()) for t, f in expected]
    assert sorted(o.unions().tolist()) == sorted(unions)
