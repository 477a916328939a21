"""What of the engine's throughput is left when pictures go through HTTP, PNG in and PNG out, with the server saturated.

    cargo build --release
    python tests/peers/saturation.py [--model DIR] [--threads 2] [--seconds 20] [--precision medium]

`spadework bench` alone, then a server of the same model with several clients that each wait for an answer before they send
again, then the bench once more, all on the same masks, each new to the server. Clients run on the same machine and take
their share of it. Only the standard library is needed.
"""

import argparse
import http.client
import json
import random
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from http_overhead import png_of
from server import Server

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model directory; the embedded model without it")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--masks", type=int, default=600)
    parser.add_argument("--spadework", type=Path, default=ROOT / "target/release/spadework")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        masks = make_masks(args, Path(folder))
        before, served, after = bench(args, folder), saturate(args, masks), bench(args, folder)
    alone = (before + after) / 2
    print(f"engine alone {before:.2f} and {after:.2f} pictures/s, through HTTP {served:.2f}: {100 * served / alone:.1f}%")


def options(args: argparse.Namespace) -> list:
    return ["--threads", str(args.threads), "--precision", args.precision, "--device", "cpu"]


def make_masks(args: argparse.Namespace, folder: Path) -> list[bytes]:
    """Distinct masks, more than will be asked for, also as files in `folder`."""
    with server(args) as running:
        model = default_model(running.address)
    size, numbers, masks = (model["width"], model["height"]), random.Random(1), []
    for index in range(args.masks):
        masks.append(png_of(blobs(numbers, size, model["label_count"]), size))
        (folder / f"{index:04}.png").write_bytes(masks[-1])
    return masks


def bench(args: argparse.Namespace, masks: str) -> float:
    """Pictures a second of the engine, new masks, batch 1."""
    model = ["--model", args.model] if args.model else []
    command = [args.spadework, "bench", "--batch", "1", "--repeat", "25", "--json", "--mask", masks, *model, *options(args)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["rows"][0]["pictures_per_second"]


def server(args: argparse.Namespace) -> Server:
    models = ["--models", args.model] if args.model else []
    return Server(args.spadework, *models, *options(args))


def default_model(address: str) -> dict:
    connection = http.client.HTTPConnection(address)
    connection.request("GET", "/models")
    return next(model for model in json.loads(connection.getresponse().read())["models"] if model["default"])


def saturate(args: argparse.Namespace, masks: list[bytes]) -> float:
    """Pictures a second through HTTP, after the first few seconds."""
    done: list[float] = []
    left = iter(masks)
    with server(args) as running:
        start = time.perf_counter()
        stop = start + args.seconds
        clients = [threading.Thread(target=client, args=(running.address, left, stop, done)) for _ in range(args.clients)]
        [thread.start() for thread in clients]
        [thread.join() for thread in clients]
    first = start + args.seconds / 4
    counted = [moment for moment in done if first <= moment <= stop]
    return len(counted) / (stop - first)


def client(address: str, masks, stop: float, done: list[float]) -> None:
    connection = http.client.HTTPConnection(address)
    while time.perf_counter() < stop:
        mask = next(masks, None)
        if mask is None:
            raise SystemExit("the masks are used up: ask for more with --masks")
        connection.request("POST", "/synthesize", mask, {"content-type": "image/png"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(content.decode())
        done.append(time.perf_counter())


def blobs(numbers: random.Random, size: tuple[int, int], classes: int) -> list[bytes]:
    """Rows of thirty ellipses on a ground."""
    width, height = size
    rows = [bytearray(width) for _ in range(height)]
    for _ in range(30):
        label, cy, cx = numbers.randrange(classes), numbers.uniform(0, height), numbers.uniform(0, width)
        ry, rx = numbers.uniform(1, height / 4), numbers.uniform(1, width / 4)
        for y in range(max(0, int(cy - ry)), min(height, int(cy + ry) + 1)):
            half = rx * max(0.0, 1 - ((y - cy) / ry) ** 2) ** 0.5
            left, right = max(0, int(cx - half)), min(width, int(cx + half))
            rows[y][left:right] = bytes([label]) * max(0, right - left)
    return rows


if __name__ == "__main__":
    main()
