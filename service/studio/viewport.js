/**
 * Where the map lies in its frame: a scale and an offset, in CSS pixels. Pure.
 *
 * @typedef {{scale: number, x: number, y: number}} Viewport  the map's top left corner at (x, y)
 * @typedef {{width: number, height: number}} Size
 * @typedef {import("./raster.js").Point} Point
 */

const MAX_SCALE = 32;

/**
 * The whole map, as large as fits, in the middle.
 *
 * @param {Size} map
 * @param {Size} frame
 * @returns {Viewport}
 */
export function fitted(map, frame) {
  const scale = Math.min(frame.width / map.width, frame.height / map.height);
  return { scale, x: (frame.width - map.width * scale) / 2, y: (frame.height - map.height * scale) / 2 };
}

/**
 * Zoomed by `factor` with the point of the frame `at` held still; never smaller than fitted.
 *
 * @param {Viewport} view
 * @param {number} factor
 * @param {Point} at
 * @param {Size} map
 * @param {Size} frame
 * @returns {Viewport}
 */
export function zoomed(view, factor, at, map, frame) {
  const least = fitted(map, frame).scale;
  const scale = Math.min(Math.max(view.scale * factor, least), Math.max(MAX_SCALE, least));
  const ratio = scale / view.scale;
  return clamped({ scale, x: at.x - (at.x - view.x) * ratio, y: at.y - (at.y - view.y) * ratio }, map, frame);
}

/**
 * @param {Viewport} view
 * @param {number} dx
 * @param {number} dy
 * @param {Size} map
 * @param {Size} frame
 * @returns {Viewport}
 */
export function panned(view, dx, dy, map, frame) {
  return clamped({ ...view, x: view.x + dx, y: view.y + dy }, map, frame);
}

/**
 * The point of the map under a point of the frame.
 *
 * @param {Viewport} view
 * @param {Point} at
 * @returns {Point}
 */
export function toMap(view, at) {
  return { x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale };
}

/**
 * No gap at an edge where the map is larger than the frame; centred where it is smaller.
 *
 * @param {Viewport} view
 * @param {Size} map
 * @param {Size} frame
 * @returns {Viewport}
 */
function clamped(view, map, frame) {
  /** @param {number} offset @param {number} content @param {number} room */
  const axis = (offset, content, room) =>
    content <= room ? (room - content) / 2 : Math.min(0, Math.max(room - content, offset));
  return {
    scale: view.scale,
    x: axis(view.x, map.width * view.scale, frame.width),
    y: axis(view.y, map.height * view.scale, frame.height),
  };
}
