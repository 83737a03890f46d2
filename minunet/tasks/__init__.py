"""The kinds of segmentation, one file each.

A task knows what the training loop, prediction and the plots need not know: how many channels the network has, what it
is trained toward, how its outputs become an answer, how that is scored and drawn.

    task.py       the interface that every task offers
    binary.py     object or background, by one probability per pixel
    outline.py    drawing the outline of a mask on an image, for all tasks
"""

from minunet.tasks.binary import Binary
from minunet.tasks.task import Panel, Task

__all__ = ["Binary", "Panel", "Task"]
