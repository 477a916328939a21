/**
 * A PNG's raw samples, as the file has them: no gamma, no colour profile, no premultiplied alpha. A canvas would give
 * the colours of an indexed mask and lose the ids, and round a 16-bit one to 8.
 *
 * @typedef {object} Raster
 * @property {number} width
 * @property {number} height
 * @property {number} bits  of a sample
 * @property {number} channels  1 grey or index, 2 grey and alpha, 3 RGB, 4 RGB and alpha
 * @property {Uint8Array | null} palette  RGB triples, when the samples are indices
 * @property {Uint8Array | null} paletteAlpha
 * @property {Uint16Array} samples  row-major, channels together
 */
import { unfilter } from "./png_filter.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CHANNELS = new Map([[0, 1], [2, 3], [3, 1], [4, 2], [6, 4]]);
/** As many as the API takes. */
const MAX_PIXELS = 64e6;
/** Adam7's passes: first column, first row, steps. */
const ADAM7 = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {Promise<Raster>}
 * @throws {Error} with a sentence for the person who chose the file
 */
export async function readPng(bytes) {
  if (!SIGNATURE.every((byte, i) => bytes[i] === byte)) throw new Error("The file is not a PNG, which keeps every pixel of a mask as it is.");
  const { header, palette, paletteAlpha, data } = readChunks(bytes);
  const raster = { ...header, palette, paletteAlpha, samples: new Uint16Array(header.width * header.height * header.channels) };
  const passes = header.interlaced ? ADAM7 : [[0, 0, 1, 1]];
  /** @type {Uint8Array} */
  let rest = await inflate(data);
  for (const [x, y, stepX, stepY] of passes) rest = readPass(rest, raster, { x, y, stepX, stepY });
  return raster;
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function readChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @type {{header: ReturnType<typeof readHeader> | null, palette: Uint8Array | null, paletteAlpha: Uint8Array | null}} */
  const found = { header: null, palette: null, paletteAlpha: null };
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const data = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (name === "IHDR") found.header = readHeader(body);
    else if (name === "PLTE") found.palette = body;
    else if (name === "tRNS") found.paletteAlpha = body;
    else if (name === "IDAT") data.push(body);
    at += length + 12;
  }
  if (!found.header || data.length === 0) throw new Error("The PNG is damaged: it has no header or no pixels.");
  return { ...found, header: found.header, data };
}

/** @param {Uint8Array} body */
function readHeader(body) {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (body.length < 13) throw new Error("The PNG is damaged: its header is cut off.");
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const channels = CHANNELS.get(body[9]);
  if (!channels || width * height === 0) throw new Error("The PNG is damaged: its header makes no sense.");
  if (width * height > MAX_PIXELS) throw new Error(`The PNG has ${width}×${height} pixels; at most 64 million are read.`);
  return { width, height, channels, bits: body[8], interlaced: body[12] === 1 };
}

/**
 * @param {Uint8Array} bytes  filtered rows
 * @param {Raster} raster  written to
 * @param {{x: number, y: number, stepX: number, stepY: number}} pass
 * @returns {Uint8Array} what follows
 */
function readPass(bytes, raster, { x, y, stepX, stepY }) {
  const width = Math.ceil((raster.width - x) / stepX);
  const height = Math.ceil((raster.height - y) / stepY);
  if (width <= 0 || height <= 0) return bytes;
  const stride = Math.ceil((width * raster.channels * raster.bits) / 8);
  if (bytes.length < (stride + 1) * height) throw new Error("The PNG is damaged: it ends before its last row.");
  const pixelBytes = Math.max(1, (raster.channels * raster.bits) >> 3);
  unfilter(bytes, stride, height, pixelBytes);
  for (let row = 0; row < height; row += 1) {
    const line = bytes.subarray(row * (stride + 1) + 1, (row + 1) * (stride + 1));
    for (let i = 0; i < width * raster.channels; i += 1) {
      const pixel = (y + row * stepY) * raster.width + x + Math.floor(i / raster.channels) * stepX;
      raster.samples[pixel * raster.channels + (i % raster.channels)] = sample(line, i, raster.bits);
    }
  }
  return bytes.subarray((stride + 1) * height);
}

/**
 * @param {Uint8Array} line
 * @param {number} index
 * @param {number} bits
 */
function sample(line, index, bits) {
  if (bits === 8) return line[index];
  if (bits === 16) return line[2 * index] * 256 + line[2 * index + 1];
  const perByte = 8 / bits;
  const shift = 8 - bits - (index % perByte) * bits;
  return (line[Math.floor(index / perByte)] >> shift) & ((1 << bits) - 1);
}

/** @param {Uint8Array<ArrayBuffer>[]} parts */
async function inflate(parts) {
  try {
    const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error("The PNG is damaged: its pixels cannot be decompressed.");
  }
}
