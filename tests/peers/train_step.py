"""Times a training step beside PyTorch: the same networks, batch, masks and threads, in one run.

    pip install -r tests/peers/requirements.txt
    cargo build --release -p spadework-training
    python tests/peers/train_step.py [--case landscape|published] [--batch N] [--masks DIR] [--rounds 5] [--threads 2]
    python tests/peers/train_step.py --device cuda      of a binary built with --features cuda

A step is the generator's losses and gradients, then the discriminator's on a fresh pass without gradients; no optimiser.
PyTorch runs it in f32, in its default memory format and channels last, on the reference networks (tests/reference); on a GPU
in bf16 (autocast, channels last) and in f32 without TF32, and so does Spadework.
Rounds are interleaved, times are medians. Masks are PNGs of label ids, by default freshly rendered landscapes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/reference"))
import spade  # noqa: E402
from training import Models, Networks, Objective  # noqa: E402

SIZE = dict(mask=(256, 256), grid=(8, 8))
LANDSCAPE = spade.Architecture(
    label_nc=14, ngf=16, hidden=64, z_dim=64, noise=True, encoder=("color", 32), norm="batch", **SIZE
)
PUBLISHED = spade.Architecture(label_nc=182, unknown_label=True, ngf=64, hidden=128, norm="sync_batch", **SIZE)
CASES = {  # networks, objective, batch
    "landscape": (
        Networks(LANDSCAPE, width=32),
        Objective(feature_matching=5.0, low_resolution=10.0, kl=0.01, kl_reduction={"groups": 4}),
        4,
    ),
    "published": (Networks(PUBLISHED), Objective(), 1),
}
# PyTorch's memory formats and types, and Spadework's precisions.
FORMS = {
    "cpu": (
        {
            "PyTorch f32": (torch.contiguous_format, torch.float32),
            "PyTorch f32, channels last": (torch.channels_last, torch.float32),
        },
        ["f32"],
    ),
    "cuda": (
        {
            "PyTorch bf16, channels last": (torch.channels_last, torch.bfloat16),
            "PyTorch f32, channels last": (torch.channels_last, torch.float32),
        },
        ["bf16", "f32"],
    ),
}


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    networks, objective, count = CASES[args.case]
    count = args.batch or count
    forms, ours_in = FORMS[args.device]
    with tempfile.TemporaryDirectory() as folder:
        batch = make_batch(networks.architecture, masks(args, Path(folder), count))
        ours = {f"Spadework {kind}": spadework(args, Path(folder), networks, objective, batch, kind) for kind in ours_in}
        times: dict[str, list[float]] = {name: [] for name in ours}
        there = {name: tensor.to(args.device) for name, tensor in batch.items()}
        peers = {}
        for name, (memory, kind) in forms.items():
            models = Models(networks, objective)
            for network in models.all().values():
                network.train().to(args.device).to(memory_format=memory)
            peers[name], times[name] = lambda m=models, f=memory, k=kind: pytorch_step(m, there, f, k), []
            for _ in range(3 if args.device == "cuda" else 1):
                peers[name]()  # to warm up
        for _ in range(args.rounds):
            for name, step in peers.items():
                start = time.perf_counter()
                step()
                times[name].append((time.perf_counter() - start) * 1e3)
            for name, step in ours.items():
                times[name].append(step())
    report(args, count, {name: statistics.median(each) for name, each in times.items()})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, default="landscape")
    parser.add_argument("--device", choices=FORMS, default="cpu")
    parser.add_argument("--batch", type=int, help="pictures of a step")
    parser.add_argument("--masks", type=Path, help="folder of PNGs of label ids")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/spadework-train")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def masks(args: argparse.Namespace, folder: Path, count: int) -> Tensor:
    """(count, 256, 256) label ids."""
    if args.masks is None:
        data = folder / "data"
        command = [args.binary, "render-dataset", "--out", data, "--count", str(count)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    files = sorted((args.masks or data / "labels").rglob("*.png"))[:count]
    assert len(files) == count, f"{len(files)} masks were found, {count} are needed"
    read = lambda path: np.array(Image.open(path).resize((256, 256), Image.Resampling.NEAREST))
    return torch.from_numpy(np.stack([read(path) for path in files]).astype(np.uint8))


def make_batch(architecture: spade.Architecture, labels: Tensor) -> dict[str, Tensor]:
    known = torch.where(labels < architecture.label_planes, labels, architecture.label_planes - 1)
    batch = {"labels": known, "pictures": torch.rand(len(labels), 3, *architecture.mask) * 2 - 1}
    if architecture.z_dim:
        batch["eps"] = torch.randn(len(labels), architecture.z_dim)
    for index, size in enumerate(architecture.noise_planes()):
        batch[f"noise.{index}"] = torch.randn(len(labels), 1, *size)
    return batch


def pytorch_step(models: Models, batch: dict[str, Tensor], memory: torch.memory_format, kind: torch.dtype) -> None:
    device = batch["labels"].device.type
    planes = spade.semantics(models.networks.architecture, batch["labels"]).contiguous(memory_format=memory)
    pictures = batch["pictures"].contiguous(memory_format=memory)
    noise = [batch[name] for name in sorted(batch) if name.startswith("noise.")]
    forward = lambda: torch.autocast(device, kind, enabled=kind != torch.float32)
    with forward():
        losses, _ = models.generator_losses(planes, pictures, batch.get("eps"), noise)
    models.gradients(losses, "GE")
    with forward():
        losses = models.discriminator_losses(planes, pictures, batch.get("eps"), noise)
    models.gradients(losses, "D")
    if device == "cuda":
        torch.cuda.synchronize()


def spadework(args, folder: Path, networks: Networks, objective: Objective, batch: dict[str, Tensor], kind: str):
    """A function that runs steps in a process of their own and returns the milliseconds of one: on a CPU of the second, on
    a GPU the median of ten behind the first."""
    rounds = 10 if args.device == "cuda" else 1
    run, tensors = folder / "run.json", folder / "batch.safetensors"
    run.write_text(json.dumps(dict(networks=networks.json(), objective=objective.json())))
    save_file(batch, tensors)
    command = [args.binary, "bench", "--run", run, "--batch", tensors, "--rounds", str(rounds)]
    command += ["--device", args.device, "--precision", kind]

    def once() -> float:
        environment = os.environ | {"RAYON_NUM_THREADS": str(args.threads)}
        output = subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout
        return statistics.median(sum(json.loads(line).values()) for line in output.splitlines())

    return once


def report(args: argparse.Namespace, count: int, medians: dict[str, float]) -> None:
    where = torch.cuda.get_device_name() if args.device == "cuda" else f"{args.threads} threads"
    print(f"{args.case}, batch {count}, {where}, median of {args.rounds}; each beside Spadework in the same type")
    for name, value in medians.items():
        ours = medians["Spadework bf16" if "bf16" in name else "Spadework f32"]
        print(f"  {name:<28}{value:8.0f} ms {count / value * 1e3:7.2f} pictures/s   {value / ours:5.2f}x")


if __name__ == "__main__":
    main()
