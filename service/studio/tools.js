/**
 * What each tool does between the press and the release of a pointer. Pure but for the map it is given.
 *
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 * @typedef {import("./label_map.js").Rect} Rect
 * @typedef {import("./raster.js").Point} Point
 * @typedef {"brush" | "eraser" | "fill" | "line" | "rectangle" | "ellipse"} Tool
 * @typedef {{tool: Tool, label: number, base: number, size: number, mirror: boolean}} Brush
 */
import { EMPTY, union } from "./label_map.js";
import { drawEllipse, drawRectangle, drawSegment, fill } from "./raster.js";

/** @type {{tool: Tool, name: string, key: string, hint: string}[]} */
export const TOOLS = [
  { tool: "brush", name: "Brush", key: "b", hint: "Paint the chosen label" },
  { tool: "eraser", name: "Eraser", key: "e", hint: "Paint the base label" },
  { tool: "fill", name: "Fill", key: "f", hint: "Fill an area of one label" },
  { tool: "line", name: "Line", key: "l", hint: "A straight line, as wide as the brush" },
  { tool: "rectangle", name: "Rectangle", key: "r", hint: "A filled rectangle" },
  { tool: "ellipse", name: "Ellipse", key: "o", hint: "A filled ellipse" },
];

/** Tools whose shape follows the pointer until it is released. */
const SHAPES = { line: true, rectangle: true, ellipse: true };

/** @param {Tool} tool */
export const isShape = (tool) => tool in SHAPES;

/** One press of the pointer: from {@link constructor} over {@link move} to {@link touched}. */
export class Stroke {
  /**
   * @param {LabelMap} map
   * @param {Brush} brush
   * @param {Point} at
   * @param {number} [pressure]  scales the brush, 0 to 1
   */
  constructor(map, brush, at, pressure = 1) {
    this.map = map;
    this.brush = brush;
    this.before = map.data.slice();
    this.start = snapped(brush.tool, at);
    this.last = this.start;
    /** Everything that changed since the press. */
    this.touched = EMPTY;
    this.draw(this.start, this.start, pressure);
  }

  /**
   * The pointer went on to `at`.
   *
   * @param {Point} at
   * @param {number} [pressure]
   * @returns {Rect} what must be painted again
   */
  move(at, pressure = 1) {
    if (this.brush.tool === "fill") return EMPTY;
    let repaint = EMPTY;
    if (isShape(this.brush.tool)) {
      repaint = this.touched;
      this.revert();
    }
    const from = isShape(this.brush.tool) ? this.start : this.last;
    this.last = snapped(this.brush.tool, at);
    return union(repaint, this.draw(from, this.last, pressure));
  }

  /** Takes the whole stroke back; answers what must be painted again. */
  revert() {
    const touched = this.touched;
    this.map.data.set(this.before);
    this.touched = EMPTY;
    return touched;
  }

  /**
   * @param {Point} from
   * @param {Point} to
   * @param {number} pressure
   */
  draw(from, to, pressure) {
    let rect = drawTool(this.map, this.brush, from, to, pressure);
    if (this.brush.mirror) {
      const [a, b] = [mirrored(from, this.map), mirrored(to, this.map)];
      rect = union(rect, drawTool(this.map, this.brush, a, b, pressure));
    }
    this.touched = union(this.touched, rect);
    return rect;
  }
}

/**
 * @param {LabelMap} map
 * @param {Brush} brush
 * @param {Point} from
 * @param {Point} to
 * @param {number} pressure
 * @returns {Rect}
 */
function drawTool(map, brush, from, to, pressure) {
  const size = Math.max(1, brush.size * pressure);
  switch (brush.tool) {
    case "brush":
    case "line":
      return drawSegment(map, from, to, size, brush.label);
    case "eraser":
      return drawSegment(map, from, to, size, brush.base);
    case "rectangle":
      return drawRectangle(map, from, to, brush.label);
    case "ellipse":
      return drawEllipse(map, from, to, brush.label);
    case "fill":
      return fill(map, to, brush.label);
  }
}

/**
 * The point across the map's vertical middle.
 *
 * @param {Point} at
 * @param {{width: number}} map
 * @returns {Point}
 */
export function mirrored(at, map) {
  return { x: map.width - at.x, y: at.y };
}

/**
 * Shapes and fills begin and end in the middle of a pixel, so that their mirror image falls on pixels too.
 *
 * @param {Tool} tool
 * @param {Point} at
 * @returns {Point}
 */
function snapped(tool, at) {
  return tool === "brush" || tool === "eraser" ? at : { x: Math.floor(at.x) + 0.5, y: Math.floor(at.y) + 0.5 };
}
