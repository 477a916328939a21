"""Times Spadework on a GPU beside PyTorch and, where they are installed, ONNX Runtime and TensorRT: the same network,
weights and masks, in one run.

    pip install torch pillow safetensors numpy [onnxruntime-gpu]
    python tests/peers/gpu.py --spadework PATH [--preset coco] [--batch 1,8,32] [--rounds 5]

Rounds are interleaved: in each, every engine makes a few batches of distinct masks, in an order that rotates; times are medians
over all rounds. Spadework's are those of `spadework bench`: tables built for masks it has not seen, pixels back in host
memory. The peers' begin with one-hot planes in device memory, and end with the device's last kernel. Pictures are compared
with PyTorch's in f32. With --device cpu and --ngf the script itself can be tried without a GPU.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import compare
import spade
from make_fixtures import with_random_weights

PRECISIONS = ["highest", "high", "medium"]


def main() -> None:
    args = parse()
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    architecture = spade.Architecture(ngf=args.ngf, hidden=min(128, 2 * args.ngf), **compare.PRESETS[args.preset])
    network = with_random_weights(spade.Generator(architecture)).float().eval()
    largest = max(args.batch)
    masks = [mask for mask, _ in compare.made_up_masks(largest, architecture)]
    planes = torch.cat([compare.planes(architecture, mask, None) for mask in masks]).to(args.device)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        spadework = Spadework(args, network, masks, folder)
        expected = pictures(copy.deepcopy(network).to(args.device)(planes[:1]))
        peers = torch_peers(args, network) | onnx_peers(args, network, planes, folder)
        rows = {}
        for batch in args.batch:
            rows[batch] = measure(args, batch, peers, spadework, planes[:batch])
        accuracy = {name: psnr(pictures(make()(planes[:1])), expected) for name, make in peers.items() if "compile" not in name}
        accuracy |= {name: psnr(spadework.picture(options), expected) for name, options in spadework.names().items()}
    report(args, rows, accuracy)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=compare.PRESETS, default="coco")
    parser.add_argument("--batch", type=lambda text: [int(n) for n in text.split(",")], default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=20, help="batches of each engine in a round")
    parser.add_argument("--peers", default="eager,bf16,compile,onnxruntime,tensorrt")
    parser.add_argument("--precisions", default=",".join(PRECISIONS), help="of Spadework")
    parser.add_argument("--cuda-graphs", action="store_true", help="time Spadework with CUDA graphs as well")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--ngf", type=int, default=64)
    parser.add_argument("--spadework", type=Path, default=compare.ROOT / "target/release/spadework")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


class Spadework:
    """The same weights as a model directory, and the masks as files; each measurement is a run of `spadework bench`."""

    def __init__(self, args: argparse.Namespace, network, masks: list, folder: Path):
        self.args, self.folder = args, folder
        self.masks = folder / "masks"
        self.masks.mkdir()
        for index, mask in enumerate(masks):
            Image.fromarray(mask).save(self.masks / f"{index:03}.png")
        self.model = model_directory(args, network, folder)

    def names(self) -> dict:
        """Each engine's name and its options."""
        graphs = {"": [], " with graphs": ["--cuda-graphs"]} if self.args.cuda_graphs else {"": []}
        precisions = self.args.precisions.split(",")
        return {
            f"Spadework {precision}{name}": ["--precision", precision, *options]
            for precision in precisions
            for name, options in graphs.items()
        }

    def run(self, *command) -> str:
        command = [self.args.spadework, *command, "--device", self.args.device, "--model", self.model]
        return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True).stdout

    def times(self, options: list, batch: int) -> dict:
        """Seconds of a batch of masks not seen before, and of the same masks again with other seeds."""
        options = ["--mask", self.masks, "--batch", batch, "--repeat", self.args.repeat, *options]
        row = json.loads(self.run("bench", *options, "--json"))["rows"][0]
        return {"new": row["median_ms"] / 1e3, "same": row["same_masks_ms"] / 1e3}

    def picture(self, options: list) -> np.ndarray:
        out = self.folder / "picture.png"
        self.run("synthesize", "--mask", self.masks / "000.png", "--seed", "1", "--out", out, *options)
        return np.asarray(Image.open(out))


def model_directory(args: argparse.Namespace, network, folder: Path) -> Path:
    """The network's tensors, spectral norm folded, as `config.json` and safetensors."""
    from safetensors.torch import save_file

    if args.ngf == 64:
        return compare.imported(args, network, folder)
    model = folder / "models" / "small"
    model.mkdir(parents=True)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file({name: tensor for name, tensor in state.items() if "num_batches" not in name}, model / "generator.safetensors")
    config = {"version": 1, "architecture": network.architecture.json()}
    (model / "config.json").write_text(json.dumps(config))
    return model


def torch_peers(args: argparse.Namespace, network) -> dict:
    """Names to functions that make an engine: planes to pictures."""

    def eager(dtype: torch.dtype, channels_last: bool):
        own = copy.deepcopy(network).to(args.device, dtype)
        if channels_last:
            own = own.to(memory_format=torch.channels_last)
        form = torch.channels_last if channels_last else torch.contiguous_format
        return lambda planes: own(planes.to(dtype).to(memory_format=form))

    def compiled():
        run = torch.compile(eager(torch.bfloat16, True), mode="max-autotune")  # with CUDA graphs
        return lambda planes: run(planes).clone()

    makers = {
        "eager": ("PyTorch f32", lambda: eager(torch.float32, False)),
        "bf16": ("PyTorch bf16 channels-last", lambda: eager(torch.bfloat16, True)),
        "compile": ("torch.compile bf16 max-autotune", compiled),
    }
    return {name: make for key, (name, make) in makers.items() if key in args.peers.split(",")}


def onnx_peers(args: argparse.Namespace, network, planes: torch.Tensor, folder: Path) -> dict:
    wanted = {"onnxruntime": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
    try:
        import onnxruntime
    except ImportError as missing:
        print(f"ONNX Runtime: skipped, {missing}", file=sys.stderr)
        return {}
    there = onnxruntime.get_available_providers()
    peers = {}
    for key, provider in wanted.items():
        if key not in args.peers.split(","):
            continue
        if provider not in there or args.device == "cpu":
            print(f"{provider}: skipped, it is not there", file=sys.stderr)
            continue
        peers[f"ONNX Runtime f16, {provider}"] = lambda provider=provider: onnx_session(provider, network, planes, folder)
    return peers


def onnx_session(provider: str, network, planes: torch.Tensor, folder: Path):
    import onnxruntime

    path = folder / "network.onnx"
    if not path.exists():
        axes = {"planes": {0: "n"}, "picture": {0: "n"}}
        half = copy.deepcopy(network).half().to(planes.device)
        names = dict(input_names=["planes"], output_names=["picture"], dynamic_axes=axes)
        torch.onnx.export(half, (planes[:1].half(),), str(path), dynamo=False, **names)
    session = onnxruntime.InferenceSession(str(path), providers=[provider, "CUDAExecutionProvider"])

    def run(planes: torch.Tensor) -> torch.Tensor:
        planes, binding = planes.half().contiguous(), session.io_binding()
        out = torch.empty(planes.shape[0], 3, *planes.shape[2:], dtype=torch.half, device=planes.device)
        for bind, name, tensor in [(binding.bind_input, "planes", planes), (binding.bind_output, "picture", out)]:
            bind(name, "cuda", 0, np.float16, tuple(tensor.shape), tensor.data_ptr())
        session.run_with_iobinding(binding)
        return out

    return run


def measure(args: argparse.Namespace, batch: int, peers: dict, spadework: Spadework, planes: torch.Tensor) -> dict:
    engines = {name: make() for name, make in peers.items()}
    for run in engines.values():
        for _ in range(3):
            run(planes)
    names = [*engines, *spadework.names()]
    times: dict = {}
    for round in range(args.rounds):
        start = round % len(names)
        for name in names[start:] + names[:start]:
            if name in engines:
                times.setdefault(name, []).append(peer_time(args, engines[name], planes))
            else:
                found = spadework.times(spadework.names()[name], batch)
                times.setdefault(name, []).append(found["new"])
                times.setdefault(f"{name}, same masks", []).append(found["same"])
    return {name: 1e3 * statistics.median(values) / batch for name, values in times.items()}


def peer_time(args: argparse.Namespace, run, planes: torch.Tensor) -> float:
    """Median seconds of a batch."""
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    times = []
    for _ in range(args.repeat):
        wait()
        start = time.perf_counter()
        run(planes)
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def pictures(out: torch.Tensor) -> np.ndarray:
    return compare.to_bytes(out[:1].float().cpu().numpy())


def psnr(picture: np.ndarray, expected: np.ndarray) -> dict:
    difference = picture.astype(int) - expected.astype(int)
    error = float((difference**2).mean())
    decibels = 99.0 if error == 0 else 10 * np.log10(255**2 / error)
    return {"worst_levels": int(abs(difference).max()), "psnr_db": float(decibels)}


def report(args: argparse.Namespace, rows: dict, accuracy: dict) -> None:
    device = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    if args.json:
        print(json.dumps(dict(preset=args.preset, device=device, ms_per_picture=rows, accuracy=accuracy), indent=1))
        return
    print(f"{args.preset} on {device}, ms a picture, {args.rounds} interleaved rounds, medians\n")
    print("| engine | " + " | ".join(f"batch {batch}" for batch in rows) + " | worst byte | PSNR |")
    print("| --- |" + " ---: |" * (len(rows) + 2))
    for name in next(iter(rows.values())):
        found = accuracy.get(name)
        quality = f"{found['worst_levels']} | {found['psnr_db']:.1f} dB" if found else "- | -"
        print(f"| {name} | " + " | ".join(f"{row[name]:.3f}" for row in rows.values()) + f" | {quality} |")


if __name__ == "__main__":
    main()
