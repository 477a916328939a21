import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { paletteOf } from "../../service/studio/colors.js";
import { crc32 } from "../../service/studio/crc32.js";
import { createLabelMap, resample } from "../../service/studio/label_map.js";
import { readPng } from "../../service/studio/png_read.js";
import { encodeIndexed } from "../../service/studio/png_write.js";

const LABELS = [
  { id: 0, name: "sky", color: "#5fdbff" },
  { id: 1, name: "grass", color: "#1dc331" },
  { id: 2, name: "road", color: "#808080" },
];

/**
 * A PNG of raw rows, each with its filter byte before it.
 *
 * @param {number[]} header  width, height, bits, colour type, interlace
 * @param {number[]} rows
 * @param {Record<string, number[]>} [others]
 */
function png([width, height, bits, type, interlace = 0], rows, others = {}) {
  const ihdr = Buffer.alloc(13);
  ihdr.writeUInt32BE(width, 0);
  ihdr.writeUInt32BE(height, 4);
  ihdr.set([bits, type, 0, 0, interlace], 8);
  const chunks = { IHDR: ihdr, ...others, IDAT: deflateSync(Buffer.from(rows)), IEND: [] };
  const parts = Object.entries(chunks).map(([name, data]) => {
    const body = Buffer.concat([Buffer.from(name), Buffer.from(data)]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  });
  return new Uint8Array(Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), ...parts]));
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
const ids = async (bytes) => [...(await readPng(bytes)).samples];

test("the checksum is the one that PNG asks for", () => {
  assert.equal(crc32(Buffer.from("IEND")), 0xae426082);
});

test("a mask that is saved and opened again is the same mask", async () => {
  const map = createLabelMap(31, 7);
  map.data.forEach((_, i) => (map.data[i] = i % 3));
  const { width, height, samples } = await readPng(await encodeIndexed(map, paletteOf(LABELS)));
  assert.deepEqual({ width, height, data: Uint8Array.from(samples) }, map);
});

test("grey values, at any depth, are ids", async () => {
  assert.deepEqual(await ids(png([4, 1, 8, 0], [0, 0, 1, 2, 1])), [0, 1, 2, 1]);
  assert.deepEqual(await ids(png([4, 1, 2, 0], [0, 0b00011001])), [0, 1, 2, 1]);
  assert.deepEqual(await ids(png([2, 1, 16, 0], [0, 0, 2, 0, 1])), [2, 1]);
});

test("every row filter is undone", async () => {
  // Differences that lead to the rows 0 1 2, 1 1 2, 2 2 2, 1 2 2, 0 1 1.
  const filtered = [0, 0, 1, 2, 1, 1, 0, 1, 2, 1, 1, 0, 3, 0, 1, 0, 4, 255, 0, 0];
  assert.deepEqual(await ids(png([3, 5, 8, 0], filtered)), [0, 1, 2, 1, 1, 2, 2, 2, 2, 1, 2, 2, 0, 1, 1]);
});

test("an interlaced mask is put together", async () => {
  // Adam7 of 3×3 whose value is (x + y) % 3: pass 1 has (0, 0), 4 (2, 0), 5 (0, 2) and (2, 2), 6 (1, 0) and (1, 2), 7 row 1.
  const passes = [[0, 0], [0, 2], [0, 2, 1], [0, 1], [0, 0], [0, 1, 2, 0]].flat();
  assert.deepEqual(await ids(png([3, 3, 8, 0, 1], passes)), [0, 1, 2, 1, 2, 0, 2, 0, 1]);
});

test("what is no PNG, or not a whole one, is refused with a sentence", async () => {
  await assert.rejects(readPng(new TextEncoder().encode("GIF89a, not a PNG")), /not a PNG/);
  await assert.rejects(ids(png([2, 2, 8, 0], [0, 1])), /ends before its last row/);
});

test("resampling takes the pixel under each new pixel's centre", () => {
  const map = { width: 4, height: 1, data: Uint8Array.of(0, 1, 2, 3) };
  assert.deepEqual([...resample(map, 2, 1).data], [1, 3]);
  assert.deepEqual([...resample(map, 8, 1).data], [0, 0, 1, 1, 2, 2, 3, 3]);
});
