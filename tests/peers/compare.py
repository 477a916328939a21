"""Times Spadework beside PyTorch, ONNX Runtime and OpenVINO: the same network, weights, masks and threads, in one run.

    pip install -r tests/peers/requirements.txt
    cargo build --release
    python tests/peers/compare.py [--preset coco] [--masks DIR [--instances DIR]] [--rounds 9] [--threads 2]

The network is the project's own PyTorch reference (tests/reference/spade.py) at the published size, with random weights.
Rounds are interleaved: in each, every engine makes one picture of the same mask, in an order that rotates. Times are
medians. Spadework's are its own engine times as the server tells them (`Server-Timing`: plan + generate), a mask it has
not seen; the peers' begin with one-hot planes in memory. Every picture is checked against PyTorch f32.
"""

import argparse
import contextlib
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/reference"))
import spade  # noqa: E402
from make_fixtures import with_random_weights  # noqa: E402

PRESETS = {
    "coco": dict(label_nc=182, unknown_label=True, instance_edges=True, mask=(256, 256), grid=(8, 8)),
    "ade20k": dict(label_nc=150, unknown_label=True, mask=(256, 256), grid=(8, 8)),
    "cityscapes": dict(label_nc=35, instance_edges=True, mask=(256, 512), grid=(4, 8), upsampling="more"),
}


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    architecture = spade.Architecture(ngf=64, hidden=128, **PRESETS[args.preset])
    network = with_random_weights(spade.Generator(architecture)).float().eval()
    masks = read_masks(args, architecture) if args.masks else made_up_masks(args.rounds + 1, architecture)
    inputs = [planes(architecture, *mask) for mask in masks]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        engines = peers(args, network, inputs[0], Path(folder))
        model = imported(args, network, Path(folder))
        for precision in args.precisions.split(","):
            server = stack.enter_context(Spadework(args, model, precision))
            engines[f"Spadework {precision}"] = lambda x, mask, server=server: server.picture(*mask)
        results = measure(args, engines, network, masks, inputs)
    report(args, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="coco")
    parser.add_argument("--masks", type=Path, help="folder of label PNGs (ids); made-up masks without it")
    parser.add_argument("--instances", type=Path, help="folder of instance PNGs of the same names")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="highest", help="of Spadework, by commas")
    parser.add_argument("--peers", default="torch,torch-cl,torch-bf16,onnxruntime,openvino,openvino-bf16")
    parser.add_argument("--spadework", type=Path, default=ROOT / "target/release/spadework")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def read_masks(args: argparse.Namespace, architecture: spade.Architecture) -> list[tuple]:
    """Label ids and instance ids at the network's size, sampled as the service samples files."""
    height, width = architecture.mask
    masks = []
    for path in sorted(args.masks.glob("*.png"))[: args.rounds + 1]:
        ids = np.asarray(Image.open(path).resize((width, height), Image.NEAREST)).astype(np.uint8)
        ids = np.where(ids >= architecture.label_nc, architecture.label_nc if architecture.unknown_label else 0, ids)
        instances = None
        if architecture.instance_edges and args.instances:
            image = Image.open(args.instances / path.name)
            instances = np.asarray(image.resize((width, height), Image.NEAREST)).astype(np.int32)
        masks.append((ids.astype(np.uint8), instances))
    return masks


def made_up_masks(count: int, architecture: spade.Architecture) -> list[tuple]:
    """Thirty ellipses on a ground, each an instance of its own."""
    random = np.random.default_rng(1)
    height, width = architecture.mask
    y, x = np.mgrid[0:height, 0:width]
    masks = []
    for _ in range(count):
        ids, instances = np.zeros((height, width), np.uint8), np.zeros((height, width), np.int32)
        for shape in range(30):
            cy, cx = random.uniform(0, height), random.uniform(0, width)
            ry, rx = random.uniform(4, height / 4 + 4), random.uniform(4, width / 4 + 4)
            inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
            ids[inside], instances[inside] = random.integers(architecture.label_planes), shape + 1
        masks.append((ids, instances if architecture.instance_edges else None))
    return masks


def planes(architecture: spade.Architecture, ids: np.ndarray, instances: np.ndarray | None) -> torch.Tensor:
    labels = torch.from_numpy(ids)[None]
    edges = torch.zeros_like(labels) if instances is None else spade.instance_edges(torch.from_numpy(instances)[None])
    return spade.semantics(architecture, labels, edges if architecture.instance_edges else None)


def peers(args: argparse.Namespace, network, example: torch.Tensor, folder: Path) -> dict:
    """Each takes the planes and the mask, and answers the picture in [-1, 1]; those asked for that are installed."""
    makers = {
        "torch": ("PyTorch f32", lambda: torch_peer(network)),
        "torch-cl": ("PyTorch f32 channels-last", lambda: torch_peer(network, channels_last=True)),
        "torch-bf16": ("PyTorch bf16 channels-last", lambda: torch_peer(network, True, torch.bfloat16)),
        "onnxruntime": ("ONNX Runtime f32", lambda: onnxruntime_peer(args, onnx_file(network, example, folder))),
        "openvino": ("OpenVINO f32", lambda: openvino_peer(args, onnx_file(network, example, folder), "f32")),
        "openvino-bf16": ("OpenVINO bf16", lambda: openvino_peer(args, onnx_file(network, example, folder), "bf16")),
    }
    engines = {}
    for key in filter(None, args.peers.split(",")):
        name, make = makers[key]
        try:
            engines[name] = make()
        except ImportError as missing:
            print(f"{name}: skipped, {missing}", file=sys.stderr)
    return engines


def torch_peer(network, channels_last: bool = False, dtype: torch.dtype = torch.float32):
    import copy

    network = copy.deepcopy(network).to(dtype)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)

    def run(x: torch.Tensor, _mask) -> np.ndarray:
        x = x.to(dtype)
        if channels_last:
            x = x.to(memory_format=torch.channels_last)
        with torch.inference_mode():
            return network(x).float().numpy()

    return run


def onnx_file(network, example: torch.Tensor, folder: Path) -> Path:
    path = folder / "network.onnx"
    if not path.exists():
        with torch.inference_mode():
            torch.onnx.export(network, (example,), str(path), input_names=["planes"], output_names=["picture"], dynamo=False)
    return path


def onnxruntime_peer(args: argparse.Namespace, path: Path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda x, _mask: session.run(None, {"planes": x.numpy()})[0]


def openvino_peer(args: argparse.Namespace, path: Path, precision: str):
    import openvino

    config = {
        "INFERENCE_NUM_THREADS": args.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", config)
    request = compiled.create_infer_request()
    return lambda x, _mask: request.infer({0: x.numpy()})[compiled.output(0)].copy()


def imported(args: argparse.Namespace, network, folder: Path) -> Path:
    """The same weights as a model directory, by the project's own import."""
    weights, model = folder / "weights.safetensors", folder / "models" / "published"
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file({name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}, weights)
    command = [args.spadework, "import", "--weights", weights, "--preset", args.preset, "--out", model]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return model


class Spadework:
    """A server of the model; a picture is made by a request, timed by what the server says its engine took."""

    def __init__(self, args: argparse.Namespace, model: Path, precision: str):
        command = [args.spadework, "serve", "--listen", "127.0.0.1:0", "--models", model, "--precision", precision]
        command += ["--threads", str(args.threads), "--device", "cpu", "--lame-duck", "0s", "--deadline", "120s"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"listening on http://(\S+)", line):
                self.address = found[1]
            if " ready " in line:
                break

    def __enter__(self) -> "Spadework":
        import threading

        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait()

    def picture(self, ids: np.ndarray, instances: np.ndarray | None) -> tuple[np.ndarray, float]:
        parts = [("mask", png(ids))] + ([] if instances is None else [("instances", png(instances.astype(np.uint16)))])
        body = b"".join(
            b'--b\r\ncontent-disposition: form-data; name="%s"; filename="x"\r\n\r\n%s\r\n' % (name.encode(), data)
            for name, data in parts
        )
        connection = http.client.HTTPConnection(self.address)
        connection.request("POST", "/synthesize", body + b"--b--\r\n", {"content-type": "multipart/form-data; boundary=b"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(content.decode())
        stages = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"]))
        took = (float(stages["plan"]) + float(stages["generate"])) / 1e3
        return np.asarray(Image.open(BytesIO(content))), took


def png(values: np.ndarray) -> bytes:
    data = BytesIO()
    Image.fromarray(values).save(data, "png")
    return data.getvalue()


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """(1, 3, H, W) in [-1, 1] to (H, W, 3) bytes, truncated as the published code does."""
    return np.clip((picture[0].transpose(1, 2, 0) + 1) / 2 * 255, 0, 255).astype(np.uint8)


def measure(args: argparse.Namespace, engines: dict, network, masks: list, inputs: list) -> dict:
    results = {name: dict(times=[], worst=0, squares=[]) for name in engines}
    judge = torch_peer(network)
    for name, run in engines.items():
        run(inputs[0], masks[0])
    for round in range(args.rounds):
        index = 1 + round % (len(masks) - 1)
        expected = to_bytes(judge(inputs[index], None)).astype(int)
        names = list(engines)
        for name in names[round % len(names) :] + names[: round % len(names)]:
            start = time.perf_counter()
            picture = engines[name](inputs[index], masks[index])
            took = time.perf_counter() - start
            if isinstance(picture, tuple):
                picture, took = picture
            else:
                picture = to_bytes(picture)
            difference = picture.astype(int) - expected
            result = results[name]
            result["times"].append(took)
            result["worst"] = max(result["worst"], int(abs(difference).max()))
            result["squares"].append(float((difference**2).mean()))
    return results


def report(args: argparse.Namespace, results: dict) -> None:
    rows = {}
    for name, result in results.items():
        error = statistics.mean(result["squares"])
        rows[name] = dict(
            median_ms=1e3 * statistics.median(result["times"]),
            worst_levels=result["worst"],
            psnr_db=float("inf") if error == 0 else 10 * np.log10(255**2 / error),
        )
    best_f32 = min((row["median_ms"] for name, row in rows.items() if "f32" in name), default=None)
    best_bf16 = min((row["median_ms"] for name, row in rows.items() if "bf16" in name), default=None)
    if args.json:
        print(json.dumps(dict(preset=args.preset, threads=args.threads, rounds=args.rounds, rows=rows), indent=1))
        return
    ratio = lambda best, row: "-" if best is None else f"{best / row['median_ms']:.2f}×"
    print(f"{args.preset}, batch 1, {args.threads} threads, {args.rounds} interleaved rounds, medians\n")
    print("| engine | ms | to the best f32 peer | to the best bf16 peer | worst byte | PSNR to PyTorch f32 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, row in rows.items():
        print(
            f"| {name} | {row['median_ms']:.0f} | {ratio(best_f32, row)} | {ratio(best_bf16, row)} "
            f"| {row['worst_levels']} | {row['psnr_db']:.1f} dB |"
        )


if __name__ == "__main__":
    main()
