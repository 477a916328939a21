/**
 * The mask being painted: map, history, and the stroke that is under way. Decides nothing about the page.
 *
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 * @typedef {import("./label_map.js").Rect} Rect
 * @typedef {import("./raster.js").Point} Point
 * @typedef {import("./tools.js").Brush} Brush
 */
import { History } from "./history.js";
import { createLabelMap } from "./label_map.js";
import { Stroke } from "./tools.js";

export class Painter {
  /**
   * @param {Brush} brush
   * @param {(rect: Rect, final: boolean) => void} onChange
   */
  constructor(brush, onChange) {
    this.brush = brush;
    this.onChange = onChange;
    this.map = createLabelMap(1, 1);
    this.history = new History();
    /** @type {Stroke | null} */
    this.stroke = null;
  }

  /** @param {LabelMap} map  a mask of another model: the past does not fit it */
  open(map) {
    this.map = map;
    this.stroke = null;
    this.history.clear();
    this.onChange(this.whole, true);
  }

  /** @param {LabelMap} map  of the same size; can be undone */
  replace(map) {
    this.cancel();
    const before = this.map.data.slice();
    this.map.data.set(map.data);
    this.history.record(before, this.map, this.whole);
    this.onChange(this.whole, true);
  }

  get whole() {
    return { x: 0, y: 0, width: this.map.width, height: this.map.height };
  }

  /**
   * @param {Point} at
   * @param {number} [pressure]
   */
  press(at, pressure = 1) {
    this.cancel();
    this.stroke = new Stroke(this.map, { ...this.brush }, at, pressure);
    this.onChange(this.stroke.touched, false);
  }

  /**
   * @param {Point} at
   * @param {number} [pressure]
   */
  move(at, pressure = 1) {
    if (this.stroke) this.onChange(this.stroke.move(at, pressure), false);
  }

  release() {
    const stroke = this.stroke;
    this.stroke = null;
    if (stroke && this.history.record(stroke.before, this.map, stroke.touched)) this.onChange(stroke.touched, true);
  }

  /** Takes back the stroke that is under way. */
  cancel() {
    const stroke = this.stroke;
    this.stroke = null;
    if (stroke) this.onChange(stroke.revert(), false);
  }

  undo() {
    this.cancel();
    const rect = this.history.undo(this.map);
    if (rect) this.onChange(rect, true);
  }

  redo() {
    this.cancel();
    const rect = this.history.redo(this.map);
    if (rect) this.onChange(rect, true);
  }
}
