"""What HTTP adds to a picture: the client's time less the stages that the server tells (`Server-Timing`).

    cargo build --release
    python tests/peers/http_overhead.py [--requests 500] [--spadework target/release/spadework]

One client, one connection kept alive, the embedded model. Only the standard library is needed.
"""

import argparse
import http.client
import re
import statistics
import struct
import time
import zlib
from pathlib import Path

from server import Server

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--spadework", type=Path, default=ROOT / "target/release/spadework")
    args = parser.parse_args()
    with Server(args.spadework) as server:
        connection = http.client.HTTPConnection(server.address)
        overheads = sorted(one(connection, png(256, 256, shift), seed=shift) for shift in range(args.requests))
    percentile = lambda p: 1e3 * overheads[min(len(overheads) - 1, int(p * len(overheads)))]
    print(f"{args.requests} requests: HTTP adds p50 {1e3 * statistics.median(overheads):.2f} ms, p99 {percentile(0.99):.2f} ms")


def one(connection: http.client.HTTPConnection, mask: bytes, seed: int) -> float:
    """Seconds of a request that are in no stage."""
    start = time.perf_counter()
    connection.request("POST", f"/synthesize?seed={seed}", mask, {"content-type": "image/png"})
    answer = connection.getresponse()
    content = answer.read()
    took = time.perf_counter() - start
    if answer.status != 200:
        raise SystemExit(content.decode())
    return took - sum(float(ms) for ms in re.findall(r"dur=([\d.]+)", answer.headers["server-timing"])) / 1e3


def png(width: int, height: int, shift: int) -> bytes:
    """A grey PNG of ids: sky above grass, the border moved by `shift`."""
    return png_of([bytes([0 if y < 100 + shift % 50 else 6]) * width for y in range(height)], (width, height))


def png_of(rows: list, size: tuple[int, int]) -> bytes:
    """A grey PNG of 8-bit rows."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


if __name__ == "__main__":
    main()
