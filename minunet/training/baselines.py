"""What answers without a network would score: a trained network that does no better has learned nothing."""

from tqdm import tqdm

from minunet.data.sample import Dataset
from minunet.tasks import Task


def constant_baselines(task: Task, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Returns {answer: its scores} of giving the same answer everywhere, such as "all background", on a dataset.

    Raises ValueError if every pixel of the dataset is ignored.
    """
    numbers = tqdm(range(len(dataset)), desc="masks", unit=" images", leave=False, disable=None, delay=1)
    return task.baselines(dataset[i][1][None] for i in numbers)
