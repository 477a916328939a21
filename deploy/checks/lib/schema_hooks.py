"""What Schemathesis sends where the description says "a PNG": random bytes alone would all be refused at the first look.
Masks that the tiny model takes, the same ones damaged in one place, and random bytes take turns."""

import base64

import schemathesis
from hypothesis import strategies as st

from masks import banded, rgb

MASKS = [banded(width, height, [0, 1, 2], seed) for seed, (width, height) in enumerate([(32, 32), (32, 32), (48, 20), (4, 2)])]
MASKS.append(rgb(32, 32))


@st.composite
def damaged(draw):
    """A mask with some bytes in one place overwritten, or cut off there."""
    mask = draw(st.sampled_from(MASKS))
    at = draw(st.integers(0, len(mask) - 1))
    bytes_ = draw(st.binary(max_size=8))
    return mask[:at] + bytes_ + (b"" if draw(st.booleans()) else mask[at + len(bytes_) :])


FILES = st.one_of(st.sampled_from(MASKS), damaged(), st.binary(max_size=64))

schemathesis.openapi.media_type("image/png", FILES)
schemathesis.openapi.format("binary", FILES)


@schemathesis.hook
def map_body(context, body):
    """In JSON the files are base64 text, which the description cannot tie to a strategy: every other one is a mask."""
    if isinstance(body, dict):
        for name in ("mask", "style", "instances"):
            text = body.get(name)
            if isinstance(text, str) and len(text) % 2 == 0:
                body[name] = base64.b64encode(MASKS[len(text) % len(MASKS)]).decode()
    return body
