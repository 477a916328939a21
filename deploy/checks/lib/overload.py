#!/usr/bin/env python3
"""The capacity of a service by a closed loop, then an open loop of twice as much; medians of three rounds.

usage: overload.py SPADEWORK FOLDER
"""

import pathlib
import statistics
import sys

from bench import FIRST, bench
from instance import QUIET, Instance

DEADLINE = 2.0
ROUNDS, SECONDS = 3, 20
# What must hold, as ratios where they are ratios.
USEFUL, REFUSED_MS = 0.95, 5.0


def one_round(binary, url):
    """What twice the capacity of this very moment came to."""
    capacity = bench(binary, url, "--clients", 12, "--duration", f"{SECONDS}s")["capacity_per_second"]
    load = bench(binary, url, "--rate", 2 * capacity, "--duration", f"{SECONDS}s", "--deadline", f"{DEADLINE}s")["loads"][0]
    useful = load["useful_per_second"] / capacity
    picture, refusal, lag = (load[which]["p99"] for which in ("picture_ms", "refusal_ms", "lag_ms"))
    print(f"      capacity {capacity:.1f} pictures/s; sent {load['rate']:.1f}/s for {SECONDS} s: {load['statuses']}, {load['lost']} lost")
    late = load["statuses"].get("504", 0) + round((load["pictures_per_second"] - load["useful_per_second"]) * load["seconds"])
    admitted = load["statuses"].get("504", 0) + load["statuses"].get("200", 0)
    print(f"      useful work {useful:.3f} of it; {late} of {admitted} admitted late or 504; p99 of pictures {picture / 1000 / DEADLINE:.3f} of the deadline, of refusals {refusal:.1f} ms, of the generator's own delay {lag:.1f} ms", flush=True)
    return useful, picture, refusal, late, admitted, load


def main(binary, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    service = Instance(binary, folder / "spadework.log", "--log", QUIET).wait_ready()
    try:
        bench(binary, service.url, "--clients", 8, "--duration", "5s")
        rounds = [one_round(binary, service.url) for _ in range(ROUNDS)]
    finally:
        service.kill()
    useful, picture, refusal = (statistics.median(each[which] for each in rounds) for which in range(3))
    print(f"      the generator runs {'before the service' if FIRST else 'beside the service, at the same priority'}")
    print(f"      medians: useful work {useful:.3f} of the capacity; p99 of pictures {picture / 1000 / DEADLINE:.3f} of the deadline, of refusals {refusal:.1f} ms")
    late, admitted = (sum(each[which] for each in rounds) for which in (3, 4))
    loads = [each[5] for each in rounds]
    print(f"      {late} of {admitted} admitted requests had no picture in time")
    wrong = [
        f"useful work is below {USEFUL} of the capacity" if useful < USEFUL else None,
        f"{late} of {admitted} admitted requests, more than one in a hundred, had no picture in time" if 100 * late > admitted else None,
        f"refusals take more than {REFUSED_MS} ms" if refusal > REFUSED_MS else None,
        "requests were lost" if any(load["lost"] for load in loads) else None,
        "a status that overload does not explain" if {status for load in loads for status in load["statuses"]} - {"200", "429", "504"} else None,
    ]
    if any(wrong):
        raise SystemExit(f"FAIL  {'; '.join(filter(None, wrong))}")
    print("ok    twice the load: the work is useful, refusals are quick")


if __name__ == "__main__":
    main(*sys.argv[1:])
