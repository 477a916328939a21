#!/usr/bin/env python3
"""Wrong requests, drawn from a seed, to a server of its own: it never panics, never answers 500, and holds nothing for them.

usage: fuzz.py SPADEWORK FOLDER [SECONDS [SEED]]
       fuzz.py SPADEWORK FOLDER one SEED CASE
"""

import base64
import json
import pathlib
import random
import re
import socket
import struct
import sys
import threading
import time
import urllib.request
import zlib

from instance import QUIET, Instance
from tiny_model import import_tiny

# An assertion of h2 in debug builds, when a connection is dropped with streams that were reset; no release has it.
KNOWN = r"h2-[0-9.]+/src/proto/streams/counts.rs"
CLIENTS, SETTLED, GROWTH, SPARE_KIB = 4, 0.4, 0.05, 8 << 10
PATHS = ["/synthesize", "/synthesize", "/synthesize", "/mask", "/models", "/models/tiny", "/livez", "/metrics", "/", "/docs", "/nowhere"]
WORDS = ["mask", "style", "instances", "options", "model", "seed", "count", "latent", "resize", "mask_format", "output_size", "deadline_ms", "style_noise", "style_preset", "nonsense"]
VALUES = ["tiny", "1", "0", "-1", "18446744073709551616", "1e400", "NaN", "nearest", "mask", "auto", "[0.1,0.2]", "[]", "{}", "null", "", "\u00e4\u0000", "9" * 400, "a" * 5000]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(draw):
    """A mask of the model's size, or of another size, depth and colour type."""
    width, height = (32, 32) if draw.random() < 0.5 else (draw.choice([1, 7, 33, 64, 300]), draw.choice([1, 5, 32, 64]))
    color, bits = draw.choice([(0, 8), (0, 8), (0, 16), (0, 1), (2, 8), (3, 8), (4, 8), (6, 16)])
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    row = (width * samples * bits + 7) // 8
    rows = b"".join(bytes([draw.choice([0, 0, 1, 2, 3, 4])]) + bytes(draw.choice([0, 1, 2, 3]) for _ in range(row)) for _ in range(height))
    chunks = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, draw.choice([0, 0, 0, 1])))]
    if color == 3:
        chunks.append(chunk(b"PLTE", bytes(draw.randrange(256) for _ in range(3 * draw.choice([1, 4, 256])))))
    chunks += [chunk(b"IDAT", zlib.compress(rows, 1)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def mutated(draw, data):
    """A few bytes changed, a piece cut, doubled or moved; sometimes as it is."""
    data = bytearray(data)
    for _ in range(draw.choice([0, 0, 1, 1, 2, 8])):
        if not data:
            break
        at, length = draw.randrange(len(data)), draw.choice([1, 2, 8, 100, 5000])
        match draw.randrange(5):
            case 0:
                data[at] ^= 1 << draw.randrange(8)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                data[at:at] = bytes(draw.randrange(256) for _ in range(min(length, 100)))
            case 4:
                del data[at:]
    return bytes(data)


def form(draw):
    boundary, parts = draw.choice(["xx", "-" * 30 + "17", "a b", ""]), []
    for _ in range(draw.choice([1, 2, 3, 3, 70])):
        name = draw.choice(WORDS)
        value = mutated(draw, png(draw)) if name in WORDS[:3] else draw.choice(VALUES).encode()
        head = f'Content-Disposition: form-data; name="{name}"' + draw.choice(["", '; filename="f"', "; filename*=UTF-8''%00", "\r\nContent-Type: image/png"])
        if draw.random() < 0.1:
            head, value = head + "\r\nContent-Transfer-Encoding: base64", base64.encodebytes(value)
        parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + value + b"\r\n")
    return f"multipart/form-data; boundary={boundary}", mutated(draw, b"".join(parts) + f"--{boundary}--\r\n".encode())


def tree(draw, depth=0):
    kind = draw.randrange(8 if depth < 4 else 5)
    if kind < 5:
        return [None, True, draw.choice(VALUES), draw.uniform(-1e30, 1e30), draw.randrange(-9, 1 << 65)][kind]
    if kind < 7:
        return [tree(draw, depth + 1) for _ in range(draw.choice([0, 1, 5, 300]))] if depth < 2 else []
    return {draw.choice(WORDS): tree(draw, depth + 1) for _ in range(draw.randrange(4))}


def json_body(draw):
    members = {"mask": base64.b64encode(png(draw)).decode(), "model": "tiny"}
    for _ in range(draw.randrange(4)):
        members[draw.choice(WORDS)] = tree(draw)
    return "application/json", mutated(draw, json.dumps(members, ensure_ascii=draw.random() < 0.5).encode())


def head_lines(draw, length):
    lines = [f"Content-Length: {length}"] if draw.random() < 0.9 else [f"Content-Length: {draw.choice(['-1', 'x', length + 5, max(length - 5, 0), 1 << 70])}"]
    others = ["Accept: application/json", "Accept: image/*;q=0", "Accept: image/webp, */*;q=0.1", "Expect: 100-continue", "Transfer-Encoding: chunked", "Content-Encoding: gzip", "Connection: close, upgrade", "Upgrade: h2c", "Range: bytes=0-1", "If-None-Match: *", "Host: y", "X-Api-Key: " + "k" * 40, "Authorization: Bearer \u00e9", "X-Request-Id: " + "i" * 3000, "traceparent: 00-" + "0" * 32 + "-x", "Origin: null", "Cookie: " + "c" * 9000]
    return lines + draw.sample(others, draw.choice([0, 0, 1, 2, 5]))


def http1(draw):
    kind, body = draw.choice([form, json_body, lambda draw: ("image/png", mutated(draw, png(draw)))])(draw)
    query = "&".join(f"{draw.choice(WORDS)}={draw.choice(['tiny', '1', '%00', '%zz', 'mask', ''])}" for _ in range(draw.choice([0, 0, 1, 3])))
    method = draw.choice(["POST", "POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "PUT", "TRACE", "BREW"])
    lines = [f"{method} {draw.choice(PATHS)}{'?' if query else ''}{query} HTTP/1.1", "Host: x", f"Content-Type: {kind}", *head_lines(draw, len(body))]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    return (mutated(draw, head) if draw.random() < 0.2 else head) + body


def frame(draw, kind, flags, stream, payload):
    length = len(payload) if draw.random() < 0.95 else draw.randrange(1 << 24)
    return struct.pack(">I", length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field, neither indexed nor compressed (RFC 7541, 6.2.2), of fewer than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def http2(draw):
    kind, body = draw.choice([form, json_body])(draw)
    body = body[: draw.choice([0, 100, 16_384])]
    out = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame(draw, 4, 0, 0, draw.choice([b"", struct.pack(">HI", 4, draw.choice([0, 1, 1 << 31]))]))]
    for stream in range(1, 2 * draw.choice([2, 3, 9]), 2):
        fields = [(b":method", draw.choice([b"POST", b"GET"])), (b":path", draw.choice(PATHS).encode()), (b":scheme", b"http"), (b":authority", b"x"), (b"content-type", kind.encode()[:100])]
        if draw.random() < 0.2:
            fields.insert(draw.randrange(6), draw.choice([(b":path", b"*"), (b"Upper", b"1"), (b"connection", b"close"), (b":bad", b""), (b"te", b"x")]))
        out.append(frame(draw, 1, 4, stream, b"".join(literal(*field) for field in fields)))
        out.append(frame(draw, 0, draw.choice([1, 1, 0, 8]), stream, body))
        if draw.random() < 0.3:
            out.append(frame(draw, draw.randrange(12), draw.randrange(256), draw.choice([0, stream, stream + 1, 1 << 31]), bytes(draw.randrange(256) for _ in range(draw.choice([0, 4, 5, 8, 40])))))
    return out[0] + mutated(draw, b"".join(out[1:])) if draw.random() < 0.5 else b"".join(out)


def case(seed, index):
    draw = random.Random(f"{seed}:{index}")
    return draw.choice([http1, http1, http1, http2])(draw), draw.choice([None, None, None, 1, 700])


def send(address, request, piece):
    """What is answered until the server closes, or has said nothing for a while."""
    host, port = address.rsplit(":", 1)
    answer = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        try:
            for at in range(0, min(len(request), 20 * (piece or 1)), piece) if piece else []:
                connection.sendall(request[at : at + piece])
            connection.sendall(request[20 * piece :] if piece else request)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(5)
            while data := connection.recv(65536):
                answer += data
        except OSError:
            pass
    return answer


def resident_kib(pid):
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])


def get(service, path):
    with urllib.request.urlopen(service.url + path, timeout=60) as answer:
        return answer.read().decode()


def wrong(service):
    """What the server must never show, if it does."""
    if service.process.poll() is not None:
        return f"the server ended with {service.process.returncode}"
    panics = [line for line in service.log.read_text().splitlines() if "panicked" in line and not re.search(KNOWN, line)]
    if panics:
        return panics[0]
    failed = re.search(r'spadework_http_requests_total{[^}]*code="500"[^}]*} [1-9].*', get(service, "/metrics"))
    return failed and failed[0]


def fuzz(service, seconds, seed):
    lock, state, begin = threading.Lock(), {"next": 0, "answers": {}}, time.monotonic()

    def client():
        while time.monotonic() - begin < seconds and "wrong" not in state:
            with lock:
                index = state["next"]
                state["next"] += 1
            request, piece = case(seed, index)
            try:
                answer = send(service.address, request, piece)
            except OSError as error:
                answer = type(error).__name__.encode()
            status = re.match(rb"HTTP/1.1 (\d+)", answer)
            status = status[1].decode() if status else "h2" if answer[3:4] == b"\4" else "none"
            with lock:
                state["answers"][status] = state["answers"].get(status, 0) + 1
            if status == "500" or (index % 200 == 0 and wrong(service)):
                state["wrong"] = f"about case {index}: {wrong(service)}"

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    samples = []
    while any(one.is_alive() for one in clients):
        time.sleep(0.5)
        if service.process.poll() is None:
            samples.append((time.monotonic() - begin, resident_kib(service.process.pid)))
    return state, [kib for at, kib in samples if at > SETTLED * seconds]


def main(binary, folder, *arguments):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    models = import_tiny(binary, folder / "models")
    service = Instance(binary, folder / "spadework.log", "--models", str(models), "--log", QUIET).wait_ready()
    try:
        if arguments[:1] == ("one",):
            request, piece = case(int(arguments[1]), int(arguments[2]))
            print(request[:2000], send(service.address, request, piece)[:2000], wrong(service), sep="\n")
            return
        seconds = float(arguments[0]) if arguments else 300
        seed = int(arguments[1]) if len(arguments) > 1 else random.randrange(1 << 32)
        print(f"      seed {seed}")
        state, resident = fuzz(service, seconds, seed)
        found = state.get("wrong") or wrong(service)
        print(f"      {state['next']} cases: {dict(sorted(state['answers'].items()))}")
        if found:
            raise SystemExit(f"FAIL  {found}; replay it: deploy/checks/fuzz one {seed} CASE")
        if get(service, "/livez") is None or not service.ready():
            raise SystemExit("FAIL  it is not ready afterwards")
        first, last = max(resident[: len(resident) // 3]), min(resident[-10:])
        if last > first * (1 + GROWTH) + SPARE_KIB:
            raise SystemExit(f"FAIL  memory has grown from {first} to {last} KiB")
        print(f"ok    no panic, no 500; resident memory {first} KiB at most in the first half, {last} KiB at the end")
    finally:
        service.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
