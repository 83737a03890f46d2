"""How fast a device is, and how close to that a training step of the lecture's U-Net comes.

Two numbers bound what any program can do on a device, and both are measured on it: how many bytes a large copy moves
per second, and how much arithmetic a large matrix product does per second, in the precision in use. A step that
reached either bound could not be improved. `minunet/nn/costs.py` counts the bytes and the arithmetic of a step.
"""

from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

from minunet import optim
from minunet.autograd import Tensor
from minunet.cuda import mark, release_memory, seconds_between, synchronize
from minunet.device import array_module, ran_out_of_memory, to_device
from minunet.kernels.gpu.products import product
from minunet.loss_scaling import LossScale, is_scaled
from minunet.models.unet import UNet
from minunet.nn import costs
from minunet.precision import half_dtype, precision_in_use, stored
from minunet.tasks import Binary

LECTURE = {"epochs": 40, "images": 6000, "minutes": 54, "batch": 64, "size": 256}  # Keras on a T4
STEPS = 5  # queued one after the other, as in training, before the clock is read


def bandwidth(device: str, size: int = 1 << 28) -> float:
    """Returns the bytes per second, read and written, of the fastest of several copies of `size` bytes."""
    source = to_device(np.zeros(size, np.uint8), device)
    target = array_module(source).empty_like(source)
    return 2 * size / _fastest(device, lambda: array_module(source).copyto(target, source))


def arithmetic(device: str, side: int = 4096) -> float:
    """Returns the FLOP/s of the fastest of several products of two side x side matrices, in the precision in use."""
    a, b = (stored(to_device(np.random.default_rng(i).random((side, side), np.float32), device)) for i in range(2))
    out = array_module(a).empty_like(a)
    if device == "cpu" or precision_in_use() == "float32":
        return 2 * side**3 / _fastest(device, lambda: array_module(a).matmul(a, b, out=out))
    return 2 * side**3 / _fastest(device, lambda: product(a, b, out))


def _fastest(device, function, repeats=6):
    times = []
    for _ in range(repeats):
        start = mark(device)
        function()
        times.append(seconds_between(start, mark(device)))
    return min(times)


def lecture_step(device: str, batch: int, size: int) -> Callable[..., None]:
    """Returns a function that does a training step of the lecture's U-Net, on one batch that is already on the device.

    From uint8 images to the scores, as the training loop does it; after(phase) is called after each phase.
    """
    rng = np.random.default_rng(0)
    images = to_device(rng.integers(0, 256, (batch, size, size, 3), np.uint8), device)
    masks = to_device(rng.integers(0, 2, (batch, size, size, 1), np.uint8), device)
    model = UNet().to(device)
    optimizer = optim.RMSprop(model.parameters(), lr=1e-3)
    task = Binary()
    scores = task.training_scores()
    scale = LossScale(device) if is_scaled(device) else None

    def step(after=lambda phase: None):
        x, t, weights = task.targets(images, masks)
        after("to float32")
        z = model.logits(Tensor(x))
        after("forward")
        loss = task.losses["bce"](z, t, weights)
        after("loss")
        (loss if scale is None else scale.scaled(loss)).backward()
        after("backward")
        if scale is None:
            optimizer.step()
        else:
            overflow = scale.unscale(optimizer.params)
            optimizer.step(overflow)
            scale.update(overflow)
        optimizer.zero_grad()
        after("optimizer")
        scores.update(z, masks)
        after("scores")

    return step


def seconds_per_step(device: str, batch: int, size: int, seconds: float = 2.0) -> float:
    """Returns the median time of a `lecture_step`, measured for about `seconds`. Raises MemoryError."""
    step = lecture_step(device, batch, size)
    step()
    synchronize(device)
    times: list[float] = []
    while len(times) < 2 or sum(times) * STEPS < seconds:
        start = mark(device)
        for _ in range(STEPS):
            step()
        times.append(seconds_between(start, mark(device)) / STEPS)
    return median(times)


def largest_batch(device: str, batch: int, size: int) -> tuple[int, float]:
    """Returns (batch, seconds per step), with the batch halved until it fits. Raises MemoryError if 1 is too much."""
    while True:
        try:
            return batch, seconds_per_step(device, batch, size)
        except Exception as error:
            if batch == 1 or not (isinstance(error, MemoryError) or ran_out_of_memory(error)):
                raise
        release_memory(device)
        batch //= 2


def report(device: str, batch: int, size: int, quick: bool = False, smaller: int | None = None) -> Iterator[str]:
    """Yields the lines of the report, in the precision in use.

    quick: small copies and products, whose figures mean little. smaller: a second batch size.
    """
    bytes_per_second = bandwidth(device, 1 << 20) if quick else bandwidth(device)
    flop_per_second = arithmetic(device, 1024) if quick else arithmetic(device)
    yield f"a large copy moves          {bytes_per_second / 1e9:9.1f} GB/s, read and written"
    yield f"a large matrix product does {flop_per_second / 1e9:9.1f} GFLOP/s in {_numbers(device)}"
    for images in (batch, *([] if smaller is None else [smaller])):
        yield from _of_steps(device, images, size, bytes_per_second, flop_per_second)


def _numbers(device):
    """Returns the name of the numbers that the products multiply."""
    name = "float32" if device == "cpu" else precision_in_use()
    return half_dtype(device) if name == "mixed" else name


def _of_steps(device, batch, size, bytes_per_second, flop_per_second):
    """Yields the lines on the training step with a batch of this size."""
    fitting, seconds = largest_batch(device, batch, size)
    if fitting < batch:
        yield f"batches of {batch} do not fit into memory: the following is for {fitting}"
    yield (
        f"a training step of the lecture's U-Net, {fitting} images of {size}x{size}: {1e3 * seconds:.1f} ms, "
        f"{fitting / seconds:.0f} images per second"
    )
    cost = costs.training_costs(UNet().to(device), (size, size))
    flop, moved = fitting * cost.flop, fitting * cost.moved
    of_arithmetic, of_bandwidth = flop / seconds / flop_per_second, moved / seconds / bytes_per_second
    yield f"  its {flop / 1e9:.1f} GFLOP are {of_arithmetic:.0%} of the arithmetic of a large matrix product"
    yield f"  its {moved / 1e9:.2f} GB at least are {of_bandwidth:.0%} of the bandwidth of a large copy"
    if (fitting, size) == (LECTURE["batch"], LECTURE["size"]):
        images = LECTURE["epochs"] * LECTURE["images"]
        minutes = images * seconds / fitting / 60
        yield (
            f"  {LECTURE['epochs']} epochs of {LECTURE['images']:,} such images take {minutes:.1f} minutes; "
            f"the lecture's took {LECTURE['minutes']} minutes with Keras on a T4"
        )
