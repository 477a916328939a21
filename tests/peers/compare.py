"""Times Spadework beside PyTorch, ONNX Runtime and OpenVINO: the same network, weights, masks and threads, in one run.

    pip install -r tests/peers/requirements.txt
    cargo build --release
    python tests/peers/compare.py [--preset coco] [--latent] [--masks DIR [--instances DIR]] [--rounds 9] [--threads 2]

The network is the project's own PyTorch reference (tests/reference/spade.py) at the published size, with random weights.
Rounds are interleaved: in each, every engine makes one picture of the same mask, in an order that rotates, after a pause
in which the threads of the engine before, which spin for more work, go to sleep. Times are medians. Spadework's are its
own engine times as the server tells them (`Server-Timing`: plan + generate), a mask it has not seen; the peers' begin
with one-hot planes in memory. Every picture is checked against PyTorch f32.

With `--latent` the network starts from a latent, and Spadework makes two more pictures in each round: the same mask in
another style, and the mask with a stroke of a brush 14 pixels wide. The peers do the same work for either as for a new
mask, so their one time stands beside both.
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
from server import Server

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/reference"))
import spade  # noqa: E402
from make_fixtures import with_random_weights  # noqa: E402

PAUSE = 0.5  # seconds
PRESETS = {
    "coco": dict(label_nc=182, unknown_label=True, instance_edges=True, mask=(256, 256), grid=(8, 8)),
    "ade20k": dict(label_nc=150, unknown_label=True, mask=(256, 256), grid=(8, 8)),
    "cityscapes": dict(label_nc=35, instance_edges=True, mask=(256, 512), grid=(4, 8), upsampling="more"),
}


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    z_dim = 256 if args.latent else None
    architecture = spade.Architecture(ngf=64, hidden=128, z_dim=z_dim, **PRESETS[args.preset])
    network = with_random_weights(spade.Generator(architecture)).float().eval()
    masks = read_masks(args, architecture) if args.masks else made_up_masks(args.rounds + 1, architecture)
    inputs = [(planes(architecture, *mask), *latents(args, index)) for index, mask in enumerate(masks)]
    with contextlib.ExitStack() as stack:
        folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        engines = peers(args, network, inputs[0], folder)
        model = imported(args, network, folder)
        for precision in args.precisions.split(","):
            server = stack.enter_context(Spadework(args, model, precision))
            engines[f"Spadework {precision}"] = server
        results = measure(args, engines, network, masks, inputs)
    report(args, results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="coco")
    parser.add_argument("--latent", action="store_true", help="a network with a latent: time new styles and strokes too")
    parser.add_argument("--masks", type=Path, help="folder of label PNGs (ids); made-up masks without it")
    parser.add_argument("--instances", type=Path, help="folder of instance PNGs of the same names")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="highest,high,medium", help="of Spadework, by commas")
    parser.add_argument("--instruction-set", help="the most that Spadework's kernels may use")
    parser.add_argument("--peers", default="torch,torch-cl,torch-bf16,torch-bf16-cl,onnxruntime,openvino,openvino-bf16")
    parser.add_argument("--spadework", type=Path, default=ROOT / "target/release/spadework")
    parser.add_argument("--folder", type=Path, help="where the exported networks stay for the next run of the same preset")
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


def latents(args: argparse.Namespace, index: int) -> list[torch.Tensor]:
    """The picture's latent, in a list, where the network takes one."""
    if not args.latent:
        return []
    return [torch.randn(1, 256, generator=torch.Generator().manual_seed(index))]


def with_stroke(ids: np.ndarray, instances: np.ndarray | None, architecture: spade.Architecture) -> tuple:
    """The mask with a stroke across its middle, 14 pixels wide and 28 long between its round ends."""
    height, width = ids.shape
    y, x = np.mgrid[0:height, 0:width] + 0.5
    middle = np.clip(x, width / 2 - 14, width / 2 + 14)
    inside = np.hypot(x - middle, y - height / 2) < 7
    painted = (int(ids[height // 2, width // 2]) + 1) % architecture.label_planes
    instances = None if instances is None else np.where(inside, instances.max() + 1, instances)
    return np.where(inside, painted, ids).astype(np.uint8), instances


def peers(args: argparse.Namespace, network, example: tuple, folder: Path) -> dict:
    """Each takes the planes and the mask, and answers the picture in [-1, 1]; those asked for that are installed."""
    makers = {
        "torch": ("PyTorch f32", lambda: torch_peer(network)),
        "torch-cl": ("PyTorch f32 channels-last", lambda: torch_peer(network, channels_last=True)),
        "torch-bf16": ("PyTorch bf16", lambda: torch_peer(network, False, torch.bfloat16)),
        "torch-bf16-cl": ("PyTorch bf16 channels-last", lambda: torch_peer(network, True, torch.bfloat16)),
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

    def run(x: torch.Tensor, *z: torch.Tensor) -> np.ndarray:
        x = x.to(dtype)
        if channels_last:
            x = x.to(memory_format=torch.channels_last)
        with torch.inference_mode():
            return network(x, *(z.to(dtype) for z in z)).float().numpy()

    return run


def onnx_file(network, example: tuple, folder: Path) -> Path:
    path = folder / "network.onnx"
    if not path.exists():
        with torch.inference_mode():
            names = ["planes", "z"][: len(example)]
            torch.onnx.export(network, example, str(path), input_names=names, output_names=["picture"], dynamo=False)
    return path


def onnxruntime_peer(args: argparse.Namespace, path: Path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    return lambda *given: session.run(None, {name: value.numpy() for name, value in zip(names, given)})[0]


def openvino_peer(args: argparse.Namespace, path: Path, precision: str):
    import openvino

    config = {
        "INFERENCE_NUM_THREADS": args.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", config)
    request = compiled.create_infer_request()
    return lambda *given: request.infer([value.numpy() for value in given])[compiled.output(0)].copy()


def imported(args: argparse.Namespace, network, folder: Path) -> Path:
    """The same weights as a model directory, by the project's own import."""
    weights, model = folder / "weights.safetensors", folder / "models" / "published"
    if model.exists():
        return model
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file({name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}, weights)
    command = [args.spadework, "import", "--weights", weights, "--preset", args.preset, "--out", model]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return model


class Spadework(Server):
    """A server of the model; a picture is made by a request, timed by what the server says its engine took."""

    def __init__(self, args: argparse.Namespace, model: Path, precision: str):
        options = ["--models", model, "--precision", precision, "--threads", str(args.threads), "--device", "cpu", "--deadline", "120s"]
        if args.instruction_set:
            options += ["--instruction-set", args.instruction_set]
        super().__init__(args.spadework, *options)

    def resident_mib(self) -> float:
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024

    def picture(self, ids: np.ndarray, instances: np.ndarray | None, z: list[torch.Tensor]) -> tuple[np.ndarray, float]:
        parts = [("mask", png(ids))] + ([] if instances is None else [("instances", png(instances.astype(np.uint16)))])
        body = b"".join(
            b'--b\r\ncontent-disposition: form-data; name="%s"; filename="x"\r\n\r\n%s\r\n' % (name.encode(), data)
            for name, data in parts
        )
        for latent in z:
            numbers = json.dumps(latent[0].tolist()).encode()
            body += b'--b\r\ncontent-disposition: form-data; name="latent"\r\n\r\n%s\r\n' % numbers
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
    results = {name: Result() for name in engines}
    judge = torch_peer(network)
    architecture = network.architecture
    for name, run in engines.items():
        run.picture(*masks[0], inputs[0][1:]) if isinstance(run, Spadework) else run(*inputs[0])
    for round in range(args.rounds):
        index = 1 + round % (len(masks) - 1)
        (mask, x), z = (masks[index], inputs[index][0]), inputs[index][1:]
        other_z = [latent.flip(1) for latent in z]
        stroke = with_stroke(*mask, architecture)
        expected = to_bytes(judge(x, *z)).astype(int)
        if args.latent:
            expected_style = to_bytes(judge(x, *other_z)).astype(int)
            expected_stroke = to_bytes(judge(planes(architecture, *stroke), *z)).astype(int)
        names = list(engines)
        for name in names[round % len(names) :] + names[: round % len(names)]:
            run, result = engines[name], results[name]
            time.sleep(PAUSE)
            if isinstance(run, Spadework):
                result.add("new", expected, *run.picture(*mask, z))
                if args.latent:
                    result.add("style", expected_style, *run.picture(*mask, other_z))
                    result.add("stroke", expected_stroke, *run.picture(*stroke, z))
            else:
                start = time.perf_counter()
                picture = run(x, *z)
                took = time.perf_counter() - start
                result.add("new", expected, to_bytes(picture), took)
    for name, run in engines.items():
        results[name].resident_mib = run.resident_mib() if isinstance(run, Spadework) else None
    return results


class Result:
    """An engine's times by kind of request, and how its bytes differ from PyTorch f32's."""

    def __init__(self):
        self.times: dict[str, list[float]] = {}
        self.worst = 0
        self.squares: list[float] = []
        self.resident_mib: float | None = None

    def add(self, kind: str, expected: np.ndarray, picture: np.ndarray, took: float) -> None:
        difference = picture.astype(int) - expected
        self.times.setdefault(kind, []).append(took)
        self.worst = max(self.worst, int(abs(difference).max()))
        self.squares.append(float((difference**2).mean()))

    def median_ms(self, kind: str) -> float | None:
        return 1e3 * statistics.median(self.times[kind]) if kind in self.times else None


def report(args: argparse.Namespace, results: dict) -> None:
    rows = {}
    for name, result in results.items():
        error = statistics.mean(result.squares)
        rows[name] = dict(
            median_ms=result.median_ms("new"),
            same_mask_new_style_ms=result.median_ms("style"),
            stroke_ms=result.median_ms("stroke"),
            worst_levels=result.worst,
            psnr_db=float("inf") if error == 0 else 10 * np.log10(255**2 / error),
            resident_mib=result.resident_mib,
        )
    peers = {name: row["median_ms"] for name, row in rows.items() if not name.startswith("Spadework")}
    best_f32 = min((ms for name, ms in peers.items() if "f32" in name), default=None)
    best_bf16 = min((ms for name, ms in peers.items() if "bf16" in name), default=None)
    if args.json:
        what = dict(preset=args.preset, latent=args.latent, threads=args.threads, rounds=args.rounds, rows=rows)
        print(json.dumps(what, indent=1))
        return
    ratio = lambda best, ms: "-" if best is None or ms is None else f"{best / ms:.2f}×"
    print(f"{args.preset}, batch 1, {args.threads} threads, {args.rounds} interleaved rounds, medians\n")
    print("| engine | ms | to the best f32 peer | to the best bf16 peer | worst byte | PSNR to PyTorch f32 | MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, row in rows.items():
        mib = "" if row["resident_mib"] is None else f"{row['resident_mib']:.0f}"
        for kind, ms in [("", row["median_ms"]), (", new style", row["same_mask_new_style_ms"]), (", stroke", row["stroke_ms"])]:
            if ms is not None:
                print(
                    f"| {name}{kind} | {ms:.0f} | {ratio(best_f32, ms)} | {ratio(best_bf16, ms)} "
                    f"| {row['worst_levels']} | {row['psnr_db']:.1f} dB | {mib} |"
                )


if __name__ == "__main__":
    main()
