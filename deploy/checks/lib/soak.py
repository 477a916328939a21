#!/usr/bin/env python3
"""100,000 requests to the tiny model: after the first fifth, resident memory stays where it is.

usage: soak.py SPADEWORK FOLDER
"""

import pathlib
import sys
import threading
import time

from bench import bench
from instance import QUIET, Instance
from tiny_model import import_tiny

REQUESTS, WARM, GROWTH = 100_000, 0.2, 0.05


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def main(binary, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    models = import_tiny(binary, folder / "models")
    service = Instance(binary, folder / "spadework.log", "--models", str(models), "--log", QUIET).wait_ready()
    samples, ended, begin = [], threading.Event(), time.monotonic()

    def watch():
        while not ended.wait(0.5):
            samples.append((time.monotonic() - begin, resident_kib(service.process.pid)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        load = bench(binary, service.url, "--model", "tiny", "--clients", 8, "--requests", REQUESTS, "--duration", "1h", "--masks", 200)["loads"][0]
    finally:
        ended.set()
        watcher.join()
        service.kill()
    took = time.monotonic() - begin
    warm = [kib for at, kib in samples if at >= WARM * took]
    growth, mib = max(warm) / warm[0] - 1, lambda kib: f"{kib / 1024:.1f} MiB"
    print(f"      {load['statuses']} in {load['seconds']:.0f} s, {load['lost']} lost; {load['pictures_per_second']:.0f} pictures/s")
    print(f"      resident: {mib(samples[0][1])} at first, {mib(warm[0])} warm, {mib(max(warm))} at most, {mib(warm[-1])} at the end")
    if load["statuses"].get("200") != REQUESTS:
        raise SystemExit("FAIL  every request is answered with its picture")
    if growth > GROWTH:
        raise SystemExit(f"FAIL  memory has grown by {growth:.1%}")
    print(f"ok    {REQUESTS:,} requests: memory grew by {growth:.1%} after the first fifth")


if __name__ == "__main__":
    main(*sys.argv[1:])
