/**
 * The scenes themselves: lines, bands and a few shapes, in a picture of width and height 1 with y down.
 *
 * @typedef {import("./examples.js").Area} Area
 * @typedef {import("./examples.js").Scene} Scene
 */

/**
 * Below a line of straight pieces through points of x and y.
 *
 * @param {[number, number][]} points
 * @returns {Area}
 */
const below = (points) => (x, y) => {
  const next = Math.max(1, points.findIndex(([px]) => px >= x));
  const [[x0, y0], [x1, y1]] = [points[next - 1], points[next]];
  return y >= y0 + ((x - x0) / (x1 - x0)) * (y1 - y0);
};

/**
 * Below a wave around `level`.
 *
 * @param {number} level
 * @param {number} height
 * @param {number} waves
 * @param {number} [phase]
 * @returns {Area}
 */
const wave = (level, height, waves, phase = 0) => (x, y) =>
  y >= level + height * Math.sin(2 * Math.PI * (waves * x + phase)) + 0.3 * height * Math.sin(14 * x + 5 * phase);

/** @type {(cx: number, cy: number, rx: number, ry: number) => Area} */
const ellipse = (cx, cy, rx, ry) => (x, y) => ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1;
/** @type {(left: number, top: number, right: number, bottom: number) => Area} */
const box = (left, top, right, bottom) => (x, y) => x >= left && x < right && y >= top && y < bottom;
/** @type {(...areas: Area[]) => Area} */
const any = (...areas) => (x, y) => areas.some((area) => area(x, y));
/** @type {(...areas: Area[]) => Area} */
const all = (...areas) => (x, y) => areas.every((area) => area(x, y));
/** @type {Area} */
const everywhere = () => true;

/**
 * A way that narrows towards a point on the horizon and bends on its way there.
 *
 * @param {number} horizon
 * @param {number} at  x on the horizon
 * @param {number} foot  x at the bottom
 * @param {number} width  at the bottom
 * @param {number} [bend]
 * @returns {Area}
 */
const path = (horizon, at, foot, width, bend = 0) => (x, y) => {
  const near = (y - horizon) / (1 - horizon);
  const middle = at + (foot - at) * near + bend * Math.sin(Math.PI * near);
  return near >= 0 && Math.abs(x - middle) <= (width / 2) * (0.06 + 0.94 * near ** 1.4);
};

/** Columns and rows of boxes of one size. */
/** @type {(left: number, top: number, stepX: number, stepY: number, columns: number, rows: number, width: number, height: number) => Area} */
const grid = (left, top, stepX, stepY, columns, rows, width, height) => (x, y) => {
  const [column, row] = [Math.floor((x - left) / stepX), Math.floor((y - top) / stepY)];
  if (column < 0 || row < 0 || column >= columns || row >= rows) return false;
  return x - left - column * stepX < width && y - top - row * stepY < height;
};

const RIDGE = below([[0, 0.42], [0.12, 0.33], [0.2, 0.38], [0.36, 0.17], [0.46, 0.3], [0.55, 0.24], [0.7, 0.4], [0.84, 0.3], [1, 0.44]]);
const SUMMITS = below([[0, 0.36], [0.16, 0.2], [0.27, 0.33], [0.5, 0.09], [0.63, 0.27], [0.79, 0.14], [1, 0.38]]);

/** @type {Scene[]} */
export const SCENES = [
  {
    name: "Mountain lake",
    layers: [
      { label: "sky", area: everywhere },
      { label: "clouds", area: any(ellipse(0.78, 0.12, 0.17, 0.045), ellipse(0.68, 0.09, 0.1, 0.035)), optional: true },
      { label: "mountain", area: RIDGE },
      { label: "hill", area: wave(0.47, 0.035, 1.3, 0.2), optional: true },
      { label: "tree", area: all(wave(0.52, 0.02, 5, 0.4), (_x, y) => y < 0.62) },
      { label: "grass", area: wave(0.58, 0.012, 2) },
      { label: "river", area: ellipse(0.56, 0.76, 0.36, 0.11) },
      { label: "grass", area: wave(0.9, 0.03, 1.1, 0.6) },
    ],
  },
  {
    name: "Coast",
    layers: [
      { label: "sky", area: everywhere },
      { label: "clouds", area: any(ellipse(0.3, 0.17, 0.2, 0.05), ellipse(0.42, 0.2, 0.16, 0.04)), optional: true },
      { label: "sea", area: (_x, y) => y >= 0.45 },
      { label: "rock", area: all(below([[0, 1], [0.62, 1], [0.7, 0.38], [0.82, 0.28], [1, 0.24]]), (_x, y) => y < 0.72), optional: true },
      { label: "sand", area: below([[0, 0.66], [0.3, 0.74], [0.6, 0.72], [1, 0.62]]) },
      { label: "grass", area: below([[0, 0.8], [0.25, 0.9], [0.5, 1.02], [1, 1.05]]) },
    ],
  },
  {
    name: "Snowy summits",
    layers: [
      { label: "sky", area: everywhere },
      { label: "mountain", area: SUMMITS },
      { label: "snow", area: all(SUMMITS, (x, y) => y < 0.33 + 0.04 * Math.sin(40 * x)) },
      { label: "tree", area: wave(0.57, 0.025, 4) },
      { label: "snow", area: wave(0.7, 0.03, 1.2, 0.1) },
      { label: "rock", area: any(ellipse(0.2, 0.86, 0.1, 0.05), ellipse(0.3, 0.9, 0.07, 0.035)), optional: true },
    ],
  },
  {
    name: "Road through meadows",
    layers: [
      { label: "sky", area: everywhere },
      { label: "hill", area: wave(0.4, 0.05, 1.1, 0.05), optional: true },
      { label: "grass", area: wave(0.48, 0.015, 1.4, 0.3) },
      { label: "flower", area: any(ellipse(0.18, 0.8, 0.16, 0.09), ellipse(0.86, 0.7, 0.12, 0.06)), optional: true },
      { label: "road", area: path(0.49, 0.56, 0.46, 0.42, 0.1) },
      { label: "tree", area: any(ellipse(0.85, 0.4, 0.12, 0.14), ellipse(0.1, 0.44, 0.07, 0.08)) },
    ],
  },
  {
    name: "Street",
    layers: [
      { label: "sky", area: everywhere },
      { label: "building", area: any(below([[0, 0.08], [0.42, 0.42], [0.43, 1], [1, 1]]), below([[0, 1], [0.56, 1], [0.57, 0.4], [1, 0.05]])) },
      { label: "tree", area: any(ellipse(0.32, 0.38, 0.07, 0.11), ellipse(0.72, 0.36, 0.06, 0.13)) },
      { label: "sidewalk", area: (_x, y) => y >= 0.55 },
      { label: "road", area: path(0.5, 0.5, 0.5, 1.5) },
      { label: "car", area: any(box(0.2, 0.56, 0.34, 0.68), box(0.58, 0.53, 0.65, 0.59)) },
      { label: "person", area: box(0.84, 0.5, 0.87, 0.66), optional: true },
    ],
  },
  {
    name: "House front",
    layers: [
      { label: "facade", area: everywhere },
      { label: "cornice", area: any(box(0, 0.02, 1, 0.07), box(0, 0.36, 1, 0.385)), optional: true },
      { label: "window", area: grid(0.08, 0.12, 0.18, 0.26, 5, 2, 0.11, 0.18) },
      { label: "sill", area: grid(0.07, 0.3, 0.18, 0.26, 5, 2, 0.13, 0.02), optional: true },
      { label: "shop", area: any(box(0.06, 0.7, 0.4, 0.94), box(0.6, 0.7, 0.94, 0.94)), optional: true },
      { label: "door", area: box(0.44, 0.68, 0.56, 1) },
    ],
  },
];
