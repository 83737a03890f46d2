"""What a task is judged by: its answers on a whole dataset, scored image by image."""

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from minunet.data.sample import Dataset
from minunet.inference.flips import Predict, with_flips
from minunet.models import SegmentationModel
from minunet.tasks import Evaluation, Task


def evaluate(
    model: SegmentationModel, task: Task, dataset: Dataset, batch_size: int = 8, flips: bool = False
) -> Evaluation:
    """Returns the Evaluation of the model's answers on all images of a dataset, which all have one size.

    batch_size: how many images are predicted together. flips: whether the outputs of each image and of its mirror
    images are averaged, see `with_flips`.
    """
    evaluation = task.evaluation()

    def once(images: list[NDArray]) -> list[NDArray]:
        return list(model.predict(np.stack(images)))

    predict: Predict = with_flips(once, task) if flips else once
    bar = tqdm(total=len(dataset), desc="evaluation", unit=" images", leave=False, disable=None, delay=1)
    with bar:
        for start in range(0, len(dataset), batch_size):
            pairs = [dataset[i] for i in range(start, min(start + batch_size, len(dataset)))]
            outputs = predict([image for image, _ in pairs])
            for (_, labels), output in zip(pairs, outputs):
                evaluation.update(task.answer(output), labels)
                bar.update()
    return evaluation
