"""What a kind of segmentation has to offer: the interface between a task and everything that works with any task."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from minunet.autograd import Tensor


class Panel(NamedTuple):
    """One image of a row that shows, side by side, an image and what a network says about it.

    pixels is uint8 (H, W, 3), drawn as it is, or floating-point (H, W), 0 to 1, drawn as a heat map with a color bar.
    """

    title: str
    pixels: NDArray
    caption: str = ""


class Scores(Protocol):
    """Adds up the scores of many batches on the device where the arrays are; reads them once, at the end."""

    def update(self, outputs: Any, labels: Any) -> None:
        """Counts one batch of outputs (N, H, W, K) against its labels."""

    def result(self) -> dict[str, float]:
        """Returns the scores so far by name."""

    def state_dict(self) -> dict[str, NDArray]:
        """Returns what is needed to continue counting later."""

    def load_state_dict(self, state: Mapping[str, NDArray]) -> None:
        """Restores a state_dict."""


class Task(Protocol):
    """One kind of segmentation."""

    @property
    def out_channels(self) -> int:
        """The number of channels that the network must have."""

    @property
    def losses(self) -> Mapping[str, Callable[..., Tensor]]:
        """{name: loss(z, targets, weights)}: z are logits, targets and weights come from `targets`."""

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores that a row of the history holds besides "loss"."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of the files that `output_images` become."""

    def targets(self, images: Any, labels: Any) -> tuple[Any, Any, Any]:
        """Returns (x, targets, weights), floating-point, from a uint8 batch (images, labels) on the same device."""

    def training_scores(self) -> Scores:
        """Returns new Scores of logits, as the training loop has them."""

    def evaluation_scores(self) -> Scores:
        """Returns new Scores of the network's outputs, as prediction has them."""

    def baselines(self, label_batches: Iterable[NDArray]) -> dict[str, dict[str, float]]:
        """Returns {answer: its scores} of answers that need no network, such as "all background"."""

    def answer(self, outputs: NDArray) -> NDArray:
        """Returns the answer for one image from the network's outputs (H, W, out_channels)."""

    def describe(self, answer: NDArray) -> str:
        """Returns the answer in a few words, for a line on the console."""

    def output_images(self, image: NDArray, answer: NDArray) -> dict[str, NDArray]:
        """Returns {suffix of a file's name: uint8 pixels} of what prediction leaves behind for one image."""

    def panels(self, image: NDArray, labels: NDArray, outputs: NDArray) -> list[Panel]:
        """Returns a row of panels: the image, its labels, the outputs, the answer."""
