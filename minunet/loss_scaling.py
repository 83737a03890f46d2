"""Loss scaling: how small gradients survive in float16.

float16 has nothing between 0 and 2⁻²⁴ = 6e-8. The gradient of a mean over the pixels of a batch, 64 · 256 · 256 of
them, begins with numbers below 1 / 4,194,304 = 2.4e-7, and much of what becomes of them on their way back would be
rounded to 0. So backward begins with s instead of 1, and by the chain rule every gradient is s times as large:

    L' = s L        g' = ∂L'/∂w = s g        g = g' / s, in float32, before it is clipped or used

How large? As large as fits: float16 ends at 65504. If a g' is not finite, something has overflowed: the step is
skipped, and s is halved. After 2000 steps in a row without that, s is doubled. It starts at 2¹⁶, and being a power of
two it rounds nothing.

    s = 65536    g' = (inf, 3)    no step, s = 32768
    s = 32768    g' = (8192, 2)   g = (0.25, 0.00006), one step of the 2000

In a training loop, where `is_scaled(device)`:

    scale.scaled(loss).backward()
    overflow = scale.unscale(optimizer.params)
    optimizer.step(overflow)
    scale.update(overflow)

bfloat16 has the range of float32 and needs none of this. A skipped step still counts for the learning rate's schedule,
and as a step of Adam.

Source: Micikevicius et al., "Mixed precision training", 2018; the numbers are those of torch.amp.GradScaler.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minunet.autograd import Tensor
from minunet.clipping import give_gradients
from minunet.device import Array, array_module, to_device, to_numpy
from minunet.kernels import kernels_for
from minunet.precision import half_dtype, precision_in_use

START = 2.0**16
GROWTH_STEPS = 2000  # in a row without an overflow, then s is doubled


def is_scaled(device: str) -> bool:
    """Returns whether the loss has to be scaled: in mixed precision, on a GPU without bfloat16."""
    return precision_in_use() == "mixed" and device != "cpu" and half_dtype(device) == np.float16


class LossScale:
    """The scale s of a training. It stays on the GPU, where the steps of a CUDA graph (cuda_graph.py) read it."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.numbers: Any = None  # (s, steps in a row without an overflow), float32, once it is used

    def scaled(self, loss: Tensor) -> Tensor:
        """Returns s · loss, on which backward is to be called."""
        if self.numbers is None:
            self._set(START, 0)
        return loss * Tensor(self.numbers[0])

    def unscale(self, params: Iterable[Tensor]) -> Array:
        """Divides all gradients by s. Returns whether one of them is not finite: an array of one bool on the GPU."""
        pairs = [(p, p.grad) for p in params if p.grad is not None]
        xp = array_module(self.numbers)
        if not pairs:
            return xp.zeros((), np.bool_)
        g = kernels_for(self.numbers).flatten([grad for _, grad in pairs])
        overflow = ~xp.isfinite(g).all()
        g *= 1 / self.numbers[0]
        give_gradients([p for p, _ in pairs], g)
        return overflow

    def update(self, overflow: Array) -> None:
        """Halves s if the step has been skipped, and doubles it after every GROWTH_STEPS that were not."""
        xp = array_module(self.numbers)
        s, steps = self.numbers[0], self.numbers[1] + 1
        grown = xp.where(steps == GROWTH_STEPS, 2 * s, s)
        self.numbers[0] = xp.where(overflow, s / 2, grown)
        self.numbers[1] = xp.where(overflow, 0, steps % GROWTH_STEPS)

    def state_dict(self) -> dict[str, float]:
        """Returns {"scale": …, "steps": …}, or nothing if no loss was ever scaled."""
        return {} if self.numbers is None else dict(zip(("scale", "steps"), to_numpy(self.numbers).tolist()))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state_dict. Raises ValueError for numbers that no training comes to."""
        if not state:
            self.numbers = None
            return
        scale, steps = float(state["scale"]), float(state["steps"])
        if not 0 < scale < float("inf") or not 0 <= steps < GROWTH_STEPS or steps % 1:
            raise ValueError(f"the loss is scaled by {scale}, for {steps} steps: no training comes to that")
        self._set(scale, steps)

    def _set(self, scale, steps):
        self.numbers = to_device(np.array([scale, steps], np.float32), self.device)
