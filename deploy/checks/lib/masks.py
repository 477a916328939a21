"""Label maps as PNG files, without an image library."""

import random
import struct
import zlib


def png(width, height, rows, color_type=0):
    """An 8-bit PNG, grey without a `color_type`; `rows` are the bytes of its samples."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def banded(width, height, ids, seed):
    """A mask of horizontal bands with ragged edges and a block: many small shapes cost the engine more than few."""
    random_ = random.Random(seed)
    bands = random_.sample(ids, k=min(len(ids), random_.randint(2, 5)))
    edges = sorted(random_.randrange(1, height) for _ in bands[1:])
    shift = [random_.randint(-2, 2) for _ in range(width)]
    block, left, top = random_.choice(ids), random_.randrange(width // 2), random_.randrange(height // 2)

    def pixel(x, y):
        if left <= x < left + width // 5 and top <= y < top + height // 4:
            return block
        return bands[sum(y + shift[x] >= edge for edge in edges)]

    return png(width, height, [bytes(pixel(x, y) for x in range(width)) for y in range(height)])


def rgb(width, height):
    """A picture in colour, to take a style from."""
    return png(width, height, [bytes(v for x in range(width) for v in (x * 8 % 256, y * 8 % 256, 90)) for y in range(height)], color_type=2)
