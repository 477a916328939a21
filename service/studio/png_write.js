/**
 * A label map as an indexed PNG: the indices are the class ids, the palette is the model's colours. So one file is
 * read by programs that want ids and by people who want to see something.
 *
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 */
import { crc32 } from "./crc32.js";

/**
 * @param {LabelMap} map
 * @param {[number, number, number][]} palette  a colour for every id that occurs
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function encodeIndexed(map, palette) {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, map.width);
  header.setUint32(4, map.height);
  header.setUint8(8, 8); // bits
  header.setUint8(9, 3); // indexed
  const rows = new Uint8Array((map.width + 1) * map.height);
  for (let y = 0; y < map.height; y += 1) {
    rows.set(map.data.subarray(y * map.width, (y + 1) * map.width), y * (map.width + 1) + 1);
  }
  return join([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("PLTE", Uint8Array.from(palette.slice(0, 256).flat())),
    chunk("IDAT", await deflate(rows)),
    chunk("IEND", new Uint8Array()),
  ]);
}

/**
 * Length, name, data, checksum.
 *
 * @param {string} name
 * @param {Uint8Array} data
 */
function chunk(name, data) {
  const out = new Uint8Array(data.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  out.set([...name].map((letter) => letter.charCodeAt(0)), 4);
  out.set(data, 8);
  view.setUint32(data.length + 8, crc32(out.subarray(4, data.length + 8)));
  return out;
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function deflate(bytes) {
  // "deflate" names zlib's format, which is PNG's.
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** @param {Uint8Array[]} parts */
function join(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
