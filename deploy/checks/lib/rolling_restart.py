#!/usr/bin/env python3
"""Two instances behind a balancer are replaced one after the other under open-loop load; no request may be lost.

usage: rolling_restart.py SPADEWORK FOLDER
"""

import asyncio
import json
import pathlib
import sys

import load
from instance import Instance
from proxy import Proxy

# Of what one instance was measured to do: two share the processors here, and one alone must carry all.
LOAD = 0.4


async def replace(proxy, fleet, place, start):
    """Starts a new instance, waits until it is known to be ready, and only then sends the old one SIGTERM."""
    old, new = fleet[place], start()
    await asyncio.to_thread(new.wait_ready)
    proxy.addresses.append(new.address)
    while new.address not in proxy.ready:
        await asyncio.sleep(0.1)
    took, code = await asyncio.to_thread(old.terminate)
    proxy.addresses.remove(old.address)
    fleet[place] = new
    if code != 0:
        raise SystemExit(f"FAIL  the instance ended with {code}")
    print(f"ok    replaced instance {place}: SIGTERM to exit {took:.1f} s, exit code 0")


async def roll(fleet, start):
    files = load.masks(fleet[0].url)
    capacity = load.summary(await load.closed_loop(fleet[0].url, files, 4, 8))["pictures_per_second"]
    rate = LOAD * capacity
    proxy = Proxy([instance.address for instance in fleet])
    url = await proxy.start()
    stop = asyncio.Event()
    sent = asyncio.create_task(keep_sending(url, files, rate, stop))
    await asyncio.sleep(3)
    for place in range(len(fleet)):
        await replace(proxy, fleet, place, start)
        await asyncio.sleep(3)
    stop.set()
    print(f"      one instance does {capacity:.1f} pictures/s; sent {rate:.1f}/s; connections {proxy.given}")
    return await sent


async def keep_sending(url, files, rate, stop):
    """Open loop, in slices, until told to stop."""
    slices = []
    while not stop.is_set():
        slices.append(asyncio.create_task(load.open_loop(url, files, rate, 2)))
        await asyncio.sleep(2)
    return [answer for part in await asyncio.gather(*slices) for answer in part]


def main(binary, folder):
    folder, count = pathlib.Path(folder), 0
    folder.mkdir(parents=True, exist_ok=True)

    def start():
        nonlocal count
        count += 1
        return Instance(binary, folder / f"instance-{count}.log")

    fleet = [start().wait_ready() for _ in range(2)]
    try:
        told = load.summary(asyncio.run(roll(fleet, start)))
    finally:
        for instance in fleet:
            instance.kill()
    print(f"      {json.dumps(told)}")
    lost = told["requests"] - told["statuses"].get("200", 0)
    if lost:
        raise SystemExit(f"FAIL  {lost} of {told['requests']} requests were lost or refused")
    print(f"ok    {told['requests']} requests over two rolling replacements: none lost, none refused")


if __name__ == "__main__":
    main(*sys.argv[1:])
