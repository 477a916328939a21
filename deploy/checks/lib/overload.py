#!/usr/bin/env python3
"""The capacity of a service by a closed loop, and an open loop of twice as much, in turns; medians of five rounds.

Processors grow faster and slower from minute to minute, so that each open loop is held against the capacity before and after it.

usage: overload.py SPADEWORK FOLDER
"""

import pathlib
import statistics
import sys

from bench import FIRST, bench
from instance import QUIET, Instance

DEADLINE = 2.0
ROUNDS, SECONDS = 5, 12
# What must hold, as ratios where they are ratios.
USEFUL, REFUSED_MS = 0.95, 5.0


def capacity_of(binary, url):
    """Pictures a second of callers who wait for their answers."""
    return bench(binary, url, "--clients", 12, "--duration", f"{SECONDS}s")["capacity_per_second"]


def one_round(binary, url, before):
    """Twice the capacity `before`: what it came to, how much was useful of the capacity before and after, and how many were admitted and without a picture in time."""
    load = bench(binary, url, "--rate", 2 * before, "--duration", f"{SECONDS}s", "--deadline", f"{DEADLINE}s")["loads"][0]
    load["capacity_after"] = capacity_of(binary, url)
    load["useful"] = load["useful_per_second"] / statistics.mean([before, load["capacity_after"]])
    expired = load["statuses"].get("504", 0)
    load["late"] = expired + round((load["pictures_per_second"] - load["useful_per_second"]) * load["seconds"])
    load["admitted"] = expired + load["statuses"].get("200", 0)
    print(f"      capacity {before:.1f}, then {load['capacity_after']:.1f} pictures/s; sent {load['rate']:.1f}/s for {SECONDS} s: {load['statuses']}, {load['lost']} lost, {load['late']} of {load['admitted']} admitted late or 504")
    print(f"      useful work {load['useful']:.3f} of the capacity; {tails(load)}, of the generator's own delay {load['lag_ms']['p99']:.1f} ms", flush=True)
    return load


def tails(load):
    """How late the latest are."""
    return f"p99 of pictures {load['picture_ms']['p99'] / 1000 / DEADLINE:.3f} of the deadline, of refusals {load['refusal_ms']['p99']:.1f} ms"


def main(binary, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    service = Instance(binary, folder / "spadework.log", "--log", QUIET).wait_ready()
    try:
        bench(binary, service.url, "--clients", 8, "--duration", "5s")
        capacity, loads = capacity_of(binary, service.url), []
        for _ in range(ROUNDS):
            loads.append(one_round(binary, service.url, capacity))
            capacity = loads[-1]["capacity_after"]
    finally:
        service.kill()
    useful = statistics.median(load["useful"] for load in loads)
    medians = {which: {"p99": statistics.median(load[which]["p99"] for load in loads)} for which in ("picture_ms", "refusal_ms")}
    late, admitted = (sum(load[which] for load in loads) for which in ("late", "admitted"))
    print(f"      the generator runs {'before the service' if FIRST else 'beside the service, at the same priority'}")
    print(f"      medians: useful work {useful:.3f} of the capacity; {tails(medians)}; {late} of {admitted} admitted late or 504")
    wrong = [
        f"useful work is below {USEFUL} of the capacity" if useful < USEFUL else None,
        f"{late} of {admitted} admitted requests, more than one in a hundred, had no picture in time" if 100 * late > admitted else None,
        "one picture in a hundred is late" if medians["picture_ms"]["p99"] > 1000 * DEADLINE else None,
        f"refusals take more than {REFUSED_MS} ms" if medians["refusal_ms"]["p99"] > REFUSED_MS else None,
        "requests were lost" if any(load["lost"] for load in loads) else None,
        "a status that overload does not explain" if {status for load in loads for status in load["statuses"]} - {"200", "429", "504"} else None,
    ]
    if any(wrong):
        raise SystemExit(f"FAIL  {'; '.join(filter(None, wrong))}")
    print("ok    twice the load: the work is useful, refusals are quick")


if __name__ == "__main__":
    main(*sys.argv[1:])
