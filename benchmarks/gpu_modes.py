"""The ways in which compare.py measures minunet and PyTorch on a GPU.

layout      channels-last, or PyTorch's default, channels first
precision   float32; TF32, which cuDNN takes unless told otherwise; bf16 and f16: PyTorch's autocast, minunet's mixed
            precision, whose 16 bits the GPU decides
how         eager: each operation is asked for when Python comes to it; graph: a step is recorded as a CUDA graph and
            replayed; compiled: torch.compile
"""

LAYOUTS = {"channels-last": ("--channels-last",), "default": ()}
PRECISIONS = "float32", "TF32", "bf16", "f16"
HOW = "eager", "graph", "compiled"

# framework: (worker, the option that has its interpreter, further arguments)
MINUNET = {
    f"minunet{of_precision}{of_how}": ("worker_minunet.py", "minunet", ("--precision", precision, "--how", how))
    for of_precision, precision in (("", "float32"), (" TF32", "TF32"), (" bf16", "bf16"))
    for of_how, how in (("", "graph"), (" eager", "eager"))
}
GPU_PEERS = MINUNET | {
    f"PyTorch {layout}, {precision}, {how}": (
        "worker_torch.py",
        "torch",
        (*LAYOUTS[layout], "--precision", precision, "--how", how),
    )
    for layout in LAYOUTS
    for precision in PRECISIONS
    for how in HOW
}
GPU_USUAL = (  # what ten minutes are enough for
    *MINUNET,
    *(f"PyTorch channels-last, {precision}, eager" for precision in PRECISIONS),
    *(f"PyTorch channels-last, {precision}, graph" for precision in ("TF32", "bf16")),
    "PyTorch default, TF32, eager",
)


def precision_of(framework):
    """Returns "float32", "TF32" or "16 bits": frameworks are compared with each other in the same one."""
    return "16 bits" if "f16" in framework else "TF32" if "TF32" in framework else "float32"
