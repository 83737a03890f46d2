"""What the labels hold, and what answers without a network would score: a network must do better than these."""

from collections.abc import Iterator

from numpy.typing import NDArray
from tqdm import tqdm

from minunet.data.sample import Dataset
from minunet.tasks import Task


def constant_baselines(task: Task, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Returns {answer: its scores} of giving the same answer everywhere, such as "all background", on a dataset.

    Raises ValueError if every pixel of the dataset is ignored.
    """
    return task.baselines(_labels(dataset))


def class_fractions(task: Task, dataset: Dataset) -> dict[str, float]:
    """Returns {class: its fraction of the pixels of a dataset}. Raises ValueError if every pixel is ignored."""
    return task.fractions(_labels(dataset))


def _labels(dataset: Dataset) -> Iterator[NDArray]:
    """Yields the labels of each image as a batch of one."""
    numbers = tqdm(range(len(dataset)), desc="masks", unit=" images", leave=False, disable=None, delay=1)
    return (dataset[i][1][None] for i in numbers)
