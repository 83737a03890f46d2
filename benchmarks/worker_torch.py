"""PyTorch's side of compare.py, with its default memory layout (channels first) or with --channels-last.

On a GPU, cuDNN first tries out which of its algorithms is the fastest for each layer. gpu_modes.py lists the
precisions, and how a step can be asked for. f16 has a fixed loss scale, and nothing looks for infinities: GradScaler
would make Python wait in each step.
"""

import contextlib

import lecture
import torch
import torch.nn.functional as F
import worker

options = worker.arguments()
torch.set_num_threads(options.threads)
device = options.device.replace("gpu", "cuda")
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.precision == "TF32"
memory_format = torch.channels_last if options.channels_last else torch.contiguous_format


class KerasRMSprop:
    """Keras' definition, w -= lr g / sqrt(v + eps), in PyTorch's fused operations on lists of tensors.

    PyTorch's own adds eps outside the root: it is no faster, and its different losses would prove nothing.
    """

    def __init__(self, params, lr=1e-3, rho=0.9, eps=1e-7):
        self.params, self.lr, self.rho, self.eps = list(params), lr, rho, eps
        self.means = [torch.zeros_like(p) for p in self.params]

    @torch.no_grad()
    def step(self):
        gradients = [p.grad for p in self.params]
        if scale != 1:
            torch._foreach_div_(gradients, scale)
        torch._foreach_mul_(self.means, self.rho)
        torch._foreach_addcmul_(self.means, gradients, gradients, 1 - self.rho)
        roots = torch._foreach_add(self.means, self.eps)
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(self.params, gradients, roots, -self.lr)


def layer(name, kernel_shape):
    """Returns the layer of that name with the shared weights, their axes in PyTorch's order."""
    kh, kw, a, b = kernel_shape
    if "Transp" in name:
        module = torch.nn.ConvTranspose2d(b, a, (kh, kw), stride=2)
    else:
        module = torch.nn.Conv2d(a, b, (kh, kw), padding="same")
    with torch.no_grad():  # Keras: KH,KW,C_in,C_out; transposed: KH,KW,C_out,C_in
        module.weight.copy_(torch.from_numpy(weights[f"{name}/kernel"]).permute(3, 2, 0, 1))
        module.bias.copy_(torch.from_numpy(weights[f"{name}/bias"]))
    return module


class LectureUNet(torch.nn.Module):
    """The lecture's U-Net up to its logits."""

    def __init__(self):
        super().__init__()
        layers = {name: layer(name, shape) for name, shape in lecture.unet_kernels()}
        self.layers = torch.nn.ModuleDict(layers)

    def forward(self, x):
        return lecture.forward(
            x,
            self.conv,
            self.transpose,
            pool=lambda x: F.max_pool2d(x, 2),
            concatenate=lambda a, b: torch.cat((a, b), dim=1),
        )

    def conv(self, x, name):
        y = self.layers[name](x)
        return y if name == "Conv_Out" else F.relu_(y)

    def transpose(self, x, name):
        return self.layers[name](x)


weights = lecture.unet_weights("float32")
model = LectureUNet().to(device, memory_format=memory_format)
network = torch.compile(model) if options.how == "compiled" else model
optimizer = KerasRMSprop(model.parameters())
scale = 1024 if options.precision == "f16" else 1
images, targets = (
    torch.from_numpy(a).permute(0, 3, 1, 2).to(device).contiguous(memory_format=memory_format)
    for a in lecture.unet_batch(options.batch, options.size, "float32")
)


def autocast():
    half = {"bf16": torch.bfloat16, "f16": torch.float16}.get(options.precision)
    return contextlib.nullcontext() if half is None else torch.autocast(device.partition(":")[0], half)


def train_step():
    with autocast():
        loss = F.binary_cross_entropy_with_logits(network(images), targets)
    model.zero_grad()
    (loss * scale if scale != 1 else loss).backward()
    optimizer.step()
    return loss.detach()


@torch.inference_mode()
def infer():
    with autocast():
        return torch.sigmoid(network(images))


def recorded(function):
    """Returns a function that replays what `function` does; weights and optimizer state are as before."""
    state = [*model.parameters(), *optimizer.means]
    before = [tensor.detach().clone() for tensor in state]
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.current_stream(device).wait_stream(stream)
    model.zero_grad()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()
    with torch.no_grad():
        for tensor, old in zip(state, before):
            tensor.copy_(old)

    def replay():
        graph.replay()
        return result.clone()  # the next replay writes over it

    return replay


def predictor(size):
    image = torch.from_numpy(lecture.unet_batch(1, size, "float32")[0]).permute(0, 3, 1, 2)
    image = image.contiguous(memory_format=memory_format)

    @torch.inference_mode()
    def predict():
        return torch.sigmoid(model(image))

    return predict


layout = "channels-last" if options.channels_last else "default"
name = f"PyTorch {torch.__version__.split('+')[0]}, {layout}"
if device == "cpu":
    notes = f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    worker.serve(name, train_step, infer, notes, predictor=predictor)
else:
    if options.how == "graph":
        train_step, infer = recorded(train_step), recorded(infer)
    notes = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, algorithms tried out"
    worker.serve(
        f"{name}, {options.precision}, {options.how}",
        train_step,
        infer,
        notes,
        wait=lambda: torch.cuda.synchronize(device),
        peak_memory=lambda: torch.cuda.max_memory_reserved(device),
    )
