#!/usr/bin/env python3
"""The capacity of a service by a closed loop, then an open loop of twice as much.

usage: overload.py SPADEWORK FOLDER
"""

import pathlib
import sys

from bench import bench
from instance import QUIET, Instance

DEADLINE = 2.0
SECONDS = 30
# What must hold, as ratios where they are ratios.
USEFUL, REFUSED_MS = 0.95, 5.0


def main(binary, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    service = Instance(binary, folder / "spadework.log", "--log", QUIET).wait_ready()
    try:
        bench(binary, service.url, "--clients", 8, "--duration", "5s")
        capacity = bench(binary, service.url, "--clients", 12, "--duration", f"{SECONDS}s")["capacity_per_second"]
        load = bench(binary, service.url, "--rate", 2 * capacity, "--duration", f"{SECONDS}s", "--deadline", f"{DEADLINE}s")["loads"][0]
    finally:
        service.kill()
    useful = load["useful_per_second"] / capacity
    picture, refusal, lag = (load[which]["p99"] for which in ("picture_ms", "refusal_ms", "lag_ms"))
    print(f"      capacity {capacity:.1f} pictures/s; sent {load['rate']:.1f}/s for {SECONDS} s: {load['statuses']}, {load['lost']} lost")
    print(f"      useful work {useful:.3f} of the capacity; p99 of pictures {picture / 1000 / DEADLINE:.3f} of the deadline, of refusals {refusal:.1f} ms")
    print(f"      the load generator itself was late by {lag:.1f} ms (p99)")
    wrong = [
        f"useful work is below {USEFUL} of the capacity" if useful < USEFUL else None,
        "one admitted request in a hundred is late" if picture > 1000 * DEADLINE else None,
        f"refusals take more than {REFUSED_MS} ms" if refusal > REFUSED_MS else None,
        "requests were lost" if load["lost"] else None,
        "a status that overload does not explain" if set(load["statuses"]) - {"200", "429", "504"} else None,
    ]
    if any(wrong):
        raise SystemExit(f"FAIL  {'; '.join(filter(None, wrong))}")
    print("ok    twice the load: the work is useful, refusals are quick")


if __name__ == "__main__":
    main(*sys.argv[1:])
