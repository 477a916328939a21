/**
 * Shapes onto a label map. Every function writes one label and answers the rectangle it touched.
 *
 * Points are in pixels of the map, (0, 0) its top left corner; pixel (x, y) is drawn where its centre is inside.
 *
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 * @typedef {import("./label_map.js").Rect} Rect
 * @typedef {{x: number, y: number}} Point
 */
import { EMPTY, clip } from "./label_map.js";

/**
 * A round brush drawn from `from` to `to`: all pixels within half a `size` of the segment. A brush never misses
 * its own pixel, so that a size of 1 draws a line without holes.
 *
 * @param {LabelMap} map
 * @param {Point} from
 * @param {Point} to
 * @param {number} size  diameter
 * @param {number} label
 * @returns {Rect}
 */
export function drawSegment(map, from, to, size, label) {
  const radius = Math.max(size / 2, 0.71);
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  const left = Math.min(from.x, to.x) - radius;
  const top = Math.min(from.y, to.y) - radius;
  const box = { x: left, y: top, width: Math.abs(dx) + 2 * radius, height: Math.abs(dy) + 2 * radius };
  return drawWhere(map, box, label, (x, y) => {
    const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - from.x) * dx + (y - from.y) * dy) / length));
    const [ox, oy] = [x - from.x - along * dx, y - from.y - along * dy];
    return ox * ox + oy * oy <= radius * radius;
  });
}

/**
 * A filled rectangle between two corners, the pixels under both included.
 *
 * @param {LabelMap} map
 * @param {Point} a
 * @param {Point} b
 * @param {number} label
 * @returns {Rect}
 */
export function drawRectangle(map, a, b, label) {
  return drawWhere(map, boxOf(a, b), label, () => true);
}

/**
 * A filled ellipse inside the rectangle between two corners.
 *
 * @param {LabelMap} map
 * @param {Point} a
 * @param {Point} b
 * @param {number} label
 * @returns {Rect}
 */
export function drawEllipse(map, a, b, label) {
  const box = boxOf(a, b);
  const [rx, ry] = [box.width / 2, box.height / 2];
  const [cx, cy] = [box.x + rx, box.y + ry];
  return drawWhere(map, box, label, (x, y) => ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1);
}

/**
 * The area of equal label around a point, four neighbours connected, by scan lines.
 *
 * @param {LabelMap} map
 * @param {Point} at
 * @param {number} label
 * @returns {Rect}
 */
export function fill(map, at, label) {
  const [startX, startY] = [Math.floor(at.x), Math.floor(at.y)];
  if (startX < 0 || startY < 0 || startX >= map.width || startY >= map.height) return EMPTY;
  const { width, height, data } = map;
  const old = data[startY * width + startX];
  if (old === label) return EMPTY;
  let [left, right, top, bottom] = [startX, startX, startY, startY];
  const waiting = [[startX, startY]];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [x, y] = next;
    const row = y * width;
    if (data[row + x] !== old) continue;
    let [first, last] = [x, x];
    while (first > 0 && data[row + first - 1] === old) first -= 1;
    while (last < width - 1 && data[row + last + 1] === old) last += 1;
    data.fill(label, row + first, row + last + 1);
    [left, right, top, bottom] = [Math.min(left, first), Math.max(right, last), Math.min(top, y), Math.max(bottom, y)];
    for (const beside of [y - 1, y + 1]) {
      if (beside >= 0 && beside < height) waiting.push(...runs(data, beside * width, first, last, old, beside));
    }
  }
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

/**
 * One point of every run of `old` between two columns.
 *
 * @param {Uint8Array} data
 * @param {number} row
 * @param {number} first
 * @param {number} last
 * @param {number} old
 * @param {number} y
 */
function runs(data, row, first, last, old, y) {
  const found = [];
  for (let x = first; x <= last; x += 1) {
    if (data[row + x] === old && (x === first || data[row + x - 1] !== old)) found.push([x, y]);
  }
  return found;
}

/**
 * @param {Point} a
 * @param {Point} b
 * @returns {Rect}
 */
function boxOf(a, b) {
  const [left, right] = [Math.floor(Math.min(a.x, b.x)), Math.floor(Math.max(a.x, b.x)) + 1];
  const [top, bottom] = [Math.floor(Math.min(a.y, b.y)), Math.floor(Math.max(a.y, b.y)) + 1];
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/**
 * @param {LabelMap} map
 * @param {Rect} box
 * @param {number} label
 * @param {(x: number, y: number) => boolean} inside  asked for the centres of pixels
 * @returns {Rect}
 */
function drawWhere(map, box, label, inside) {
  const rect = clip(box, map);
  for (let y = rect.y; y < rect.y + rect.height; y += 1) {
    for (let x = rect.x; x < rect.x + rect.width; x += 1) {
      if (inside(x + 0.5, y + 0.5)) map.data[y * map.width + x] = label;
    }
  }
  return rect;
}
