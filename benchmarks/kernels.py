"""What a compiler makes of the GPU's kernels, and how fast a step could be. No GPU is needed, nothing is timed.

    python benchmarks/kernels.py [--batch 64] [--size 256] [--check]

First table: every variant of a convolution's kernel in a training step of the lecture's U-Net (dry_step.py), compiled
by NVRTC for each GPU that runs it: registers of a thread, bytes spilled to memory and loaded again, shared memory of a
block, how many blocks a multiprocessor has room for, and how many multiplications the hottest loop makes for each load
(of a thread in the plain kernels, of a whole warp, mma.sync, on tensor cores), counted in the PTX for the first GPU.

Second table: bytes and arithmetic of a step, and the time that they would take according to the GPU's data sheet: for
each launch the larger of bytes / bandwidth and arithmetic / peak, added up. That is a lower bound: no program reaches
those peaks, and a launch takes a few microseconds, whatever it does.

--check ends with exit code 1 if a kernel spills. Needs CuPy and NVRTC, the headers of the CUDA runtime for 16 bits, and
ml_dtypes: pip install "minunet[gpu]".
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import functools
import importlib.util
import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

from dry_step import WINDOWS_OF, training_step
from tqdm import tqdm

THREADS = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Gpu:
    """A GPU: what its multiprocessors have room for (CUDA Programming Guide, "Compute Capabilities"), and its speed.

    shared: bytes for all blocks, 1 KB of which each takes for the system from sm_80 on.
    bandwidth in GB/s, arithmetic in dense TFLOP/s by precision, both of the data sheet.
    """

    name: str
    capability: int
    threads: int
    shared: int
    bandwidth: float
    peak: dict[str, float]
    precisions: tuple[str, ...]


HIDDEN = "Real", "TAPS_W", "PITCH", "X_PITCH", "TRANSPOSED", "BLOCKS"  # follow from the others, or change nothing here
ALL = "float32", "tf32", "mixed"
GPUS = (
    Gpu("T4", 75, 1024, 64 << 10, 320, {"float32": 8.1, "half": 65}, ("float32", "mixed")),
    Gpu("A100 80GB SXM", 80, 2048, 164 << 10, 2039, {"float32": 19.5, "tf32": 156, "half": 312}, ALL),
    Gpu("H100 SXM", 90, 2048, 228 << 10, 3350, {"float32": 67, "tf32": 494.5, "half": 989.5}, ALL),
)
SOURCES = "Data sheets: NVIDIA T4, A100 (80GB SXM), H100 (SXM; half of its tensor figures, which are with sparsity)."


# ---- what NVRTC says ---------------------------------------------------------------------------------------


class Compiled(NamedTuple):
    """registers of a thread; bytes spilled and loaded again; static shared memory; products, loads of the hot loop."""

    registers: int
    spilled: int
    shared: int
    products: int
    loads: int


@functools.cache
def compiled(source, kernel, capability):
    """Returns what NVRTC makes of the kernel for sm_<capability>, with the options that CuPy gives it."""
    from cupy.cuda import nvrtc  # works without a GPU

    includes = (f"-I{folder}" for folder in _headers())
    options = "-std=c++17", "-ftz=true", "--device-as-default-execution-space", f"-arch=sm_{capability}", *includes
    program = nvrtc.createProgram(source, "kernel.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*options, "-Xptxas=-v"))
        log, ptx = nvrtc.getProgramLog(program), nvrtc.getPTX(program)
    except nvrtc.NVRTCError:
        raise RuntimeError(f"{kernel} does not compile for sm_{capability}:\n{nvrtc.getProgramLog(program)}") from None
    finally:
        nvrtc.destroyProgram(program)
    said = re.search(rf"Compiling entry function '{kernel}'.*?(?=Compiling entry function|\Z)", log, re.S)[0]
    spilled = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
    registers, shared = (
        re.search(rf"{before}(\d+) {what}", said) for before, what in (("Used ", "registers"), ("", "bytes smem"))
    )
    text = ptx.decode() if isinstance(ptx, bytes) else ptx
    return Compiled(int(registers[1]), spilled, int(shared[1]) if shared else 0, *_hot_loop(text, kernel))


@functools.cache
def _headers():
    """Returns the folders with the CUDA runtime's headers, as its wheels for CUDA 12 and 13 have them."""
    spec = importlib.util.find_spec("nvidia")
    places = list(spec.submodule_search_locations) if spec else []
    return tuple(found.parent for place in places for found in Path(place).glob("*/include/cuda_fp16.h"))


def _hot_loop(ptx, kernel):
    """Returns (products, loads) of the innermost loop with the most products; an mma.sync counts as one."""
    body = re.search(rf"\.entry {kernel}\(.*?^}}", ptx, re.S | re.M)[0]
    lines = [line.strip() for line in body.splitlines()]
    labels = {line[:-1]: at for at, line in enumerate(lines) if re.fullmatch(r"\$\w+:", line)}
    loops = []
    for at, line in enumerate(lines):
        target = re.search(r"\bbra(?:\.uni)?\s+(\$\w+);", line)
        if target and labels[target[1]] < at:
            loops.append((labels[target[1]], at))
    best = 0, 0
    for first, last in loops:
        if not any(first <= a and b <= last for a, b in loops if (a, b) != (first, last)):
            text = "\n".join(lines[first:last])
            products = len(re.findall(r"\b(?:fma\.rn\.(?:ftz\.)?f32|mma\.sync)", text))
            best = max(best, (products, len(re.findall(r"\b(?:ld\.(?:global|shared)|ldmatrix)", text))))
    return best


def blocks_on_multiprocessor(gpu, kernel, dynamic_shared):
    """Returns how many blocks of 256 threads are on a multiprocessor at a time."""
    warps = THREADS // 32
    of_warp = math.ceil(kernel.registers * 32 / 256) * 256  # given in pieces of 256, from one of four files
    by_registers = 65536 // 4 // of_warp * 4 // warps
    taken = kernel.shared + dynamic_shared + (1024 if gpu.capability >= 80 else 0)
    return min(by_registers, gpu.threads // THREADS, gpu.shared // taken if taken else 99)


# ---- tables ------------------------------------------------------------------------------------------------


def variants(steps):
    """Returns {(kernel, constants, source, shared memory): the compute capabilities where it is launched}."""
    found = collections.defaultdict(set)
    for gpu, _, launches in steps:
        for launch in launches:
            if launch.source is not None:
                found[launch.kernel, launch.constants, launch.source, launch.shared].add(gpu.capability)
    return found


def kernel_table(found, only_convolutions):
    """Yields the lines of the first table, then one with the number of variants, and those that spill."""
    names = ", ".join(str(gpu.capability) for gpu in GPUS)
    yield f"| kernel | constants | registers, sm_{names} | spills | shared memory | blocks | products per load |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    spilling = []
    for (kernel, constants, source, shared), where in sorted(found.items(), key=_in_order):
        made = {gpu: compiled(source, kernel, gpu.capability) for gpu in GPUS if gpu.capability in where}
        if any(m.spilled for m in made.values()):
            spilling.append(f"{kernel} {_words(constants)}")
        if not only_convolutions or kernel in WINDOWS_OF:
            yield f"| {kernel} | {_words(constants)} | {_row(made, shared)} |"
    yield f"\n{len(found)} variants of all kernels; {len(spilling)} spill. {'; '.join(spilling)}".rstrip()


def _row(made, shared):
    """Returns the cells for a kernel {GPU: Compiled} that is given `shared` bytes."""
    first = next(iter(made.values()))
    columns = (
        {gpu: m.registers for gpu, m in made.items()},
        {gpu: m.spilled for gpu, m in made.items()},
        {gpu: blocks_on_multiprocessor(gpu, m, shared) for gpu, m in made.items()},
    )
    registers, spills, blocks = (", ".join(str(column.get(gpu, "-")) for gpu in GPUS) for column in columns)
    ratio = f"{first.products}/{first.loads} = {first.products / first.loads:.1f}" if first.products else ""
    return f"{registers} | {spills} | {first.shared + shared} | {blocks} | {ratio}"


def _in_order(item):
    (kernel, constants, *_), _ = item
    return kernel, [(name, int(v) if v.isdigit() else v) for name, v in constants]


def _words(constants):
    types = {"float": "", "__half": "float16 ", "__nv_bfloat16": "bfloat16 "}
    return types[dict(constants)["Real"]] + " ".join(f"{k}={v}" for k, v in constants if k not in HIDDEN)


def step_table(steps):
    """Yields the lines of the second table."""
    yield (
        "| GPU | precision | launches | GB | ms by bandwidth | GFLOP | executed | ms by arithmetic "
        "| lower bound, ms per step | by kernel, ms |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for gpu, precision, launches in steps:
        moving = [1e3 * launch.bytes / (1e9 * gpu.bandwidth) for launch in launches]
        computing = [1e3 * 2 * launch.executed / (1e12 * gpu.peak[launch.arithmetic]) for launch in launches]
        by_kernel = collections.Counter()
        for launch, *times in zip(launches, moving, computing):
            by_kernel[launch.kernel] += max(times)
        longest = ", ".join(f"{kernel} {ms:.2f}" for kernel, ms in by_kernel.most_common(5))
        flop = (f"{2 * sum(getattr(la, what) for la in launches) / 1e9:.0f}" for what in ("useful", "executed"))
        yield (
            f"| {gpu.name} | {precision} | {len(launches)} | {sum(la.bytes for la in launches) / 1e9:.2f} "
            f"| {sum(moving):.2f} | {' | '.join(flop)} | {sum(computing):.2f} | {by_kernel.total():.2f} | {longest} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64, help="images per step (default: 64)")
    parser.add_argument("--size", type=int, default=256, help="height and width (default: 256)")
    parser.add_argument(
        "--all", action="store_true", help="the first table lists all kernels, not only those of convolutions"
    )
    parser.add_argument("--check", action="store_true", help="end with exit code 1 if a kernel spills")
    options = parser.parse_args()
    steps = [
        (gpu, precision, training_step(options.batch, options.size, precision, gpu.capability, gpu.shared))
        for gpu in GPUS
        for precision in gpu.precisions
    ]
    found = variants(steps)
    tasks = [(source, kernel, sm) for (kernel, _, source, _), where in found.items() for sm in where]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for _ in tqdm(pool.map(lambda task: compiled(*task), tasks), total=len(tasks), desc="kernels", disable=None):
            pass
    *lines, spilling = kernel_table(found, not options.all)
    print("\n".join([*lines, spilling]))
    print(
        f"\nNOT MEASURED: what the data sheets allow, batch {options.batch}, {options.size}x{options.size}. {SOURCES}\n"
    )
    print("\n".join(step_table(steps)))
    return int(options.check and "; 0 spill." not in spilling)


if __name__ == "__main__":
    sys.exit(main())
