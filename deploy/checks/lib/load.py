#!/usr/bin/env python3
"""Sends masks to a running Spadework at a fixed rate, whatever it answers (open loop), and says what came back.

usage: load.py --url http://HOST:PORT [--rate 5] [--seconds 30] [--deadline-ms N]
       load.py --url ... --clients 8          closed loop: as many callers, each waits for its answer

Latency counts from when a request was meant to be sent, so a stall of the sender or the server is not left out.
Every request has its own connection. Standard library only.
"""

import argparse
import asyncio
import json
import random
import sys
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from masks import banded


@dataclass
class Answer:
    """What became of one request. Status 0 is one without an answer; `sent` and `took` are seconds."""

    sent: float
    took: float
    status: int
    note: str = ""


def masks(url, count=24):
    """Masks that the server's default model takes."""

    def get(path):
        with urllib.request.urlopen(url + path, timeout=10) as answer:
            return json.load(answer)

    name = next(model["name"] for model in get("/models")["models"] if model["default"])
    model = get(f"/models/{name}")
    ids = [label["id"] for label in model["labels"]]
    return [banded(model["width"], model["height"], ids, seed) for seed in range(count)]


async def send(url, mask, meant, deadline_ms, timeout):
    """One request; `meant` is the loop time at which it was due."""
    clock = asyncio.get_running_loop().time
    where = urlsplit(url)
    query = f"?seed={random.getrandbits(32)}" + (f"&deadline_ms={deadline_ms}" if deadline_ms else "")
    head = (
        f"POST /synthesize{query} HTTP/1.1\r\nhost: {where.netloc}\r\ncontent-type: image/png\r\n"
        f"content-length: {len(mask)}\r\nconnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            try:
                writer.write(head.encode() + mask)
                status, note = judge(await reader.read(-1))
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        status, note = 0, f"{type(error).__name__}: {error}"
    return Answer(meant, clock() - meant, status, note)


def judge(answer):
    """The status; 0 for an answer that is cut off or no picture."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return 0, "closed without an answer"
    status = int(head.split(b" ", 2)[1])
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), None)
    if length is not None and len(body) != length:
        return 0, f"cut off after {len(body)} of {length} bytes"
    if status == 200 and not body.startswith(b"\x89PNG"):
        return 0, "200 without a picture"
    return status, "" if status == 200 else body[:300].decode(errors="replace")


async def open_loop(url, files, rate, seconds, deadline_ms=None, timeout=90.0):
    """Requests at random moments, `rate` a second on average."""
    clock = asyncio.get_running_loop().time
    due, end, tasks = clock(), clock() + seconds, []
    while (due := due + random.expovariate(rate)) < end:
        await asyncio.sleep(max(0.0, due - clock()))
        tasks.append(asyncio.create_task(send(url, random.choice(files), due, deadline_ms, timeout)))
    return list(await asyncio.gather(*tasks))


async def closed_loop(url, files, clients, seconds, deadline_ms=None, timeout=90.0):
    """As many callers, each with one request at a time: the most that the server can do."""
    clock = asyncio.get_running_loop().time
    end, answers = clock() + seconds, []

    async def caller():
        while clock() < end:
            answers.append(await send(url, random.choice(files), clock(), deadline_ms, timeout))

    await asyncio.gather(*(caller() for _ in range(clients)))
    return answers


def percentile(values, share):
    """The smallest value that `share` of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def summary(answers):
    """Counts by status, pictures a second, and percentiles in milliseconds of pictures and of refusals."""
    statuses = {}
    for answer in answers:
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
    done = [a for a in answers if a.status == 200]
    first, last = min(a.sent for a in answers), max(a.sent + a.took for a in answers)
    times = {"picture": [a.took for a in done], "refusal": [a.took for a in answers if a.status in (429, 503)]}
    return {
        "requests": len(answers),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "pictures_per_second": round(len(done) / (last - first), 3),
        "milliseconds": {
            kind: {f"p{share * 100:g}": round(1000 * percentile(took, share), 1) for share in (0.5, 0.95, 0.99)}
            for kind, took in times.items()
            if took
        },
        "lost": [a.note for a in answers if a.status == 0][:10],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=5.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--clients", type=int, help="a closed loop of as many callers")
    parser.add_argument("--deadline-ms", type=int)
    args = parser.parse_args()
    files = masks(args.url)
    if args.clients:
        work = closed_loop(args.url, files, args.clients, args.seconds, args.deadline_ms)
    else:
        work = open_loop(args.url, files, args.rate, args.seconds, args.deadline_ms)
    told = summary(asyncio.run(work))
    print(json.dumps(told, indent=1))
    return 1 if told["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
