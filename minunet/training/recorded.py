"""The training step of a full batch, recorded as a CUDA graph (cuda_graph.py): what it takes for granted."""

import contextlib
from collections.abc import Iterator
from typing import Any

from minunet.autograd import Tensor
from minunet.cuda_graph import RecordedStep, addresses
from minunet.nn import Module
from minunet.precision import precision_in_use


class RecordedTraining(RecordedStep):
    """The whole step of a Trainer, (images, labels) → (loss, logits), recorded anew when one of these has changed:

    where the weights, buffers and the optimizer's state lie; which weights are trained; which layers are in training
    mode; whether a gradient was left behind; whether gradients are clipped and weights decay; the precision.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.tensors: list[Tensor] = []
        self.modules: list[Module] = []
        super().__init__(
            trainer.whole_step,
            trainer.model.device,
            self._conditions,
            trainer.optimizer.zero_grad,
            lambda text: trainer.warn(text),
        )

    @contextlib.contextmanager
    def in_its_stream(self) -> Iterator[None]:
        """As that of RecordedStep. Layers may come or go between two such blocks, that is, between two epochs."""
        model = self.trainer.model
        self.tensors = [tensor for _, tensor in (*model.named_parameters(), *model.named_buffers())]
        self.modules = list(model.modules())
        with super().in_its_stream():
            yield

    def _conditions(self) -> object:
        optimizer = self.trainer.optimizer
        state = [array for arrays in optimizer.state for array in arrays.values()]
        return (
            precision_in_use(),
            addresses([*(tensor.data for tensor in self.tensors), *state, self.trainer.loss_scale.numbers]),
            [(tensor.requires_grad, tensor.grad is None) for tensor in self.tensors],
            [module.training for module in self.modules],
            (self.trainer.clip_norm, optimizer.weight_decay > 0),
        )
