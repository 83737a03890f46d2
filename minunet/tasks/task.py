"""What a kind of segmentation has to offer: the interface between a task and everything that works with any task."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray
from PIL.Image import Image

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


class Evaluation(Protocol):
    """Scores of finished answers, image by image: what the kind of segmentation is judged by."""

    def update(self, answer: Any, labels: NDArray) -> None:
        """Counts one image: the task's answer, and the true labels (H, W, L) of the same height and width."""

    def result(self) -> dict[str, float]:
        """Returns the scores so far by name. Raises ValueError if nothing was counted."""

    def confusion(self) -> tuple[Sequence[str], NDArray] | None:
        """Returns (class names, confusion matrix [true, predicted]), or None where there are no classes."""

    def table(self) -> list[tuple[str, ...]]:
        """Returns rows of text, the first of them a heading: the scores class by class, or nothing."""


class Task(Protocol):
    """One kind of segmentation."""

    @property
    def name(self) -> str:
        """The name of the task, as the command line and the weights files have it."""

    @property
    def out_channels(self) -> int:
        """The number of channels that the network must have."""

    @property
    def activation(self) -> str:
        """What makes the network's outputs of its logits: "sigmoid", "softmax" or "linear"."""

    @property
    def losses(self) -> Mapping[str, Callable[..., Tensor]]:
        """{name: loss(z, targets, weights)}: z are logits, targets and weights come from `targets`."""

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores that a row of the history holds besides "loss"; "mean_iou" is one of them."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of the files that `files` makes."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The modules, beyond what minunet always needs, without which there are no answers: see `regions.require`."""

    def prepare(self, labels: NDArray) -> NDArray:
        """Returns the labels (H, W, L) of a training image with what is computed once and kept, as further channels."""

    def encode(self, labels: NDArray) -> NDArray:
        """Returns the labels (H, W, L) of an image, after augmentation, with what depends on where each pixel is."""

    def targets(self, images: Any, labels: Any) -> tuple[Any, Any, Any]:
        """Returns (x, targets, weights) from a batch (images uint8, labels) on the same device; x is float32, 0 to
        1."""

    def training_scores(self) -> Scores:
        """Returns new Scores of logits, as the training loop has them."""

    def evaluation(self) -> Evaluation:
        """Returns a new Evaluation of answers."""

    def fractions(self, label_batches: Iterable[NDArray]) -> dict[str, float]:
        """Returns {class: its fraction of the pixels that count}, of every class worth telling before training.

        Raises ValueError if no pixel counts; so does `baselines`.
        """

    def baselines(self, label_batches: Iterable[NDArray]) -> dict[str, dict[str, float]]:
        """Returns {answer: its scores} of answers that need no network, such as "all background"."""

    def answer(self, outputs: NDArray) -> Any:
        """Returns the answer for one image from the network's outputs (H, W, out_channels)."""

    def rescale(self, outputs: NDArray, factors: tuple[float, float]) -> NDArray:
        """Returns outputs that were resized by these factors, down and across, with all lengths in the new pixels."""

    def unflip(self, outputs: NDArray, axis: int) -> NDArray:
        """Returns the outputs (H, W, out_channels) of an image that was flipped along the axis, flipped back."""

    def describe(self, answer: Any) -> str:
        """Returns the answer in a few words, for a line on the console."""

    def files(self, image: NDArray, answer: Any) -> Mapping[str, NDArray | Image | str | bytes]:
        """Returns {suffix of a file's name: pixels or text} of what prediction leaves behind for one image."""

    def panels(self, image: NDArray, labels: NDArray, outputs: NDArray) -> list[Panel]:
        """Returns a row of panels: the image, its labels, the outputs, the answer."""

    def metadata(self) -> dict[str, Any]:
        """Returns what a weights file has to say, in JSON, for `tasks.from_metadata` to make this task again."""
