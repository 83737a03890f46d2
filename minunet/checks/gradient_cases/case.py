"""One derivative to be proved."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import GradcheckReport, Tensor, gradcheck
from minunet.device import Array

TOLERANCE = 1e-6
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class Case(NamedTuple):
    """One check. f takes Tensors made of `inputs`; options go to gradcheck."""

    operation: str
    label: str
    f: Callable[..., Tensor]
    inputs: list[NDArray[Any]]
    options: Mapping[str, Any] = NO_OPTIONS

    def run(self, convert: Callable[[Any], Array] = np.asarray) -> GradcheckReport:
        """Returns the GradcheckReport. Raises GradientError if the derivative is wrong.

        convert: puts a NumPy array on the device that is to be checked.
        """
        return gradcheck(self.f, [convert(x) for x in self.inputs], tolerance=TOLERANCE, **self.options)
