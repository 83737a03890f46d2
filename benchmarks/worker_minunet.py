"""minunet's side of compare.py."""

import sys
from pathlib import Path

import lecture
import machine
import worker

sys.path.insert(0, str(Path(__file__).parents[1]))
import minunet
from minunet import Tensor, UNet, cuda, device, no_grad, ops, optim
from minunet.cuda_graph import RecordedStep
from minunet.kernels.memory import keep_freed_memory
from minunet.precision import resolve_precision, use_precision

options = worker.arguments()
minunet.set_num_threads(options.threads)
keep_freed_memory()  # as the training loop does
where = device.resolve_device(options.device)
precision = {"float32": "float32", "TF32": "tf32"}.get(options.precision, "mixed")
resolve_precision(precision, where)  # raises where the GPU does not have it
model = UNet().to(where)
model.load_state_dict(lecture.unet_weights("float32"))
optimizer = optim.RMSprop(model.parameters(), lr=1e-3)
images, targets = (device.to_device(a, where) for a in lecture.unet_batch(options.batch, options.size, "float32"))


def step():
    loss = ops.binary_cross_entropy_with_logits(model.logits(Tensor(images)), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return (loss.data,)


recorded = RecordedStep(step, where) if options.how == "graph" and where != "cpu" else None


def train_step():
    if recorded is None:
        with use_precision(precision):
            return step()[0]
    with recorded.in_its_stream(), use_precision(precision):
        return recorded()[0].copy()  # the next replay writes over it


def infer():
    if where == "cpu":
        model.predict(images)
        return
    with no_grad(), use_precision(precision):  # predict would also copy the answer to main memory
        model(Tensor(images))


def predictor(size):
    image = lecture.unet_batch(1, size, "float32")[0][0]
    return lambda: model.predict(image)


if where == "cpu":
    worker.serve(f"minunet {minunet.__version__}", train_step, infer, notes=machine.blas(), predictor=predictor)
else:
    worker.serve(
        f"minunet {minunet.__version__}, {options.precision}, {options.how}",
        train_step,
        infer,
        notes=cuda.describe_gpu(where),
        wait=lambda: cuda.synchronize(where),
        peak_memory=lambda: cuda.memory_kept(where) + (recorded.pool.total_bytes() if recorded else 0),
    )
