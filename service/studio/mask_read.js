/**
 * A PNG's samples to class ids of one model, by the rules that the API reads masks by: palette colours where all are the
 * model's, else indices; grey and equal-channel RGB as ids; other RGB as the labels' colours.
 *
 * @typedef {import("./png_read.js").Raster} Raster
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 * @typedef {import("./label_map.js").Label} Label
 * @typedef {{labels: Label[], labelCount: number, unknown: number | null}} LabelSet
 */
import { parseColor } from "./colors.js";

/** How far, as a squared distance of 8-bit RGB, a colour may lie from a label's and still mean it. */
const TOLERANCE = 12 * 12;
/** A picture of which more is no label's colour is no mask. */
const MOST_UNMATCHED = 0.25;
/** From here up a 16-bit value is Cityscapes' `id * 1000 + instance`. */
const INSTANCES_FROM = 1000;

/**
 * @param {Raster} raster
 * @param {LabelSet} set
 * @returns {LabelMap}
 * @throws {Error} with a sentence for the person who chose the file
 */
export function readMask(raster, set) {
  const pixels = raster.width * raster.height;
  const data = new Uint8Array(pixels);
  const read = chooseReading(raster, set);
  let unmatched = 0;
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const { id, matched } = isTransparent(raster, pixel) ? transparent(set) : read(pixel);
    data[pixel] = id;
    if (!matched) unmatched += 1;
  }
  if (unmatched > MOST_UNMATCHED * pixels) {
    throw new Error(`${unmatched} of its ${pixels} pixels have colours that are no label's; draw it in the model's colours, or use grey ids.`);
  }
  return { width: raster.width, height: raster.height, data };
}

/**
 * @param {Raster} raster
 * @param {LabelSet} set
 * @returns {(pixel: number) => {id: number, matched: boolean}}
 */
function chooseReading(raster, set) {
  const byColor = colorReading(raster, set);
  if (raster.palette) return paletteIsTheModels(raster, set) ? byColor : idReading(raster, set);
  if (raster.channels <= 2) return idReading(raster, set);
  return isGray(raster) ? idReading(raster, set) : byColor;
}

/**
 * @param {Raster} raster
 * @param {LabelSet} set
 */
function idReading(raster, set) {
  /** @param {number} value */
  const classOf = (value) => (raster.bits === 16 && value >= INSTANCES_FROM ? Math.floor(value / INSTANCES_FROM) : value);
  /** @param {number} pixel */
  return (pixel) => {
    const value = classOf(raster.samples[pixel * raster.channels]);
    if (value < set.labelCount) return { id: value, matched: true };
    if (set.unknown !== null && (value === set.unknown || value === 255)) return { id: set.unknown, matched: true };
    throw new Error(`It has the id ${value} and the model's ids are 0 to ${set.labelCount - 1}.`);
  };
}

/**
 * @param {Raster} raster
 * @param {LabelSet} set
 */
function colorReading(raster, set) {
  const colors = set.labels.flatMap(({ id, color }) => (color ? [{ id, color: parseColor(color) }] : []));
  /** @type {Map<number, {id: number, matched: boolean}>} */
  const known = new Map();
  /** @param {number} pixel */
  return (pixel) => {
    if (colors.length === 0) throw new Error("It is in colours and the model's labels have none; use grey ids.");
    const [r, g, b] = colorAt(raster, pixel);
    const key = (r << 16) | (g << 8) | b;
    const found = known.get(key) ?? nearest([r, g, b], colors, set);
    known.set(key, found);
    return found;
  };
}

/**
 * @param {number[]} color
 * @param {{id: number, color: number[]}[]} colors
 * @param {LabelSet} set
 */
function nearest(color, colors, set) {
  let best = { id: 0, distance: Infinity };
  for (const candidate of colors) {
    const distance = candidate.color.reduce((sum, value, i) => sum + (value - color[i]) ** 2, 0);
    if (distance < best.distance) best = { id: candidate.id, distance };
  }
  const matched = best.distance <= TOLERANCE;
  return { id: matched ? best.id : (set.unknown ?? best.id), matched };
}

/**
 * @param {Raster} raster
 * @param {LabelSet} set
 */
function paletteIsTheModels(raster, set) {
  const colors = new Set(set.labels.flatMap(({ color }) => (color ? [parseColor(color).join()] : [])));
  const used = new Set(raster.samples);
  return [...used].every((index) => colors.has([...(raster.palette ?? []).slice(3 * index, 3 * index + 3)].join()));
}

/** @param {Raster} raster */
function isGray({ samples, channels }) {
  for (let i = 0; i < samples.length; i += channels) {
    if (samples[i] !== samples[i + 1] || samples[i] !== samples[i + 2]) return false;
  }
  return true;
}

/**
 * @param {Raster} raster
 * @param {number} pixel
 */
function colorAt({ samples, channels, bits, palette }, pixel) {
  if (palette) return palette.subarray(3 * samples[pixel], 3 * samples[pixel] + 3);
  const at = pixel * channels;
  return [0, 1, 2].map((channel) => (bits === 16 ? samples[at + channel] >> 8 : samples[at + channel]));
}

/**
 * @param {Raster} raster
 * @param {number} pixel
 */
function isTransparent({ samples, channels, palette, paletteAlpha }, pixel) {
  if (palette) return paletteAlpha?.[samples[pixel]] === 0;
  return channels % 2 === 0 && samples[pixel * channels + channels - 1] === 0;
}

/** @param {LabelSet} set */
function transparent({ unknown }) {
  if (unknown === null) throw new Error("It has transparent pixels and the model has no unknown label; fill them.");
  return { id: unknown, matched: true };
}
