/**
 * The mask on the screen: its pixels, zoom, and the outline of the brush.
 *
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 * @typedef {import("./label_map.js").Rect} Rect
 * @typedef {import("./raster.js").Point} Point
 * @typedef {import("./colors.js").Rgb} Rgb
 */
import { byId, element } from "./dom.js";
import { fitted, panned, toMap, zoomed } from "./viewport.js";

export class CanvasView {
  constructor() {
    this.frame = element("frame");
    this.canvas = byId("canvas", HTMLCanvasElement);
    this.cursor = element("cursor");
    this.axis = element("axis");
    const context = this.canvas.getContext("2d");
    if (!context) throw new Error("no canvas");
    this.context = context;
    /** @type {LabelMap | null} */
    this.map = null;
    this.colors = new Uint32Array(256);
    this.mirror = false;
    this.view = { scale: 1, x: 0, y: 0 };
    this.onZoom = (/** @type {number} */ _percent) => {};
    new ResizeObserver(() => this.fit()).observe(this.frame);
  }

  /**
   * @param {LabelMap} map
   * @param {Rgb[]} palette
   */
  show(map, palette) {
    const resized = map.width !== this.map?.width || map.height !== this.map?.height;
    this.map = map;
    this.colors = Uint32Array.from(palette, ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r);
    if (resized) {
      [this.canvas.width, this.canvas.height] = [map.width, map.height];
      document.documentElement.style.setProperty("--aspect", `${map.width} / ${map.height}`);
      this.fit();
    }
    this.paint({ x: 0, y: 0, width: map.width, height: map.height });
  }

  /** @param {Rect} rect */
  paint({ x, y, width, height }) {
    if (!this.map || width === 0 || height === 0) return;
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let row = 0; row < height; row += 1) {
      const from = (y + row) * this.map.width + x;
      for (let column = 0; column < width; column += 1) {
        pixels[row * width + column] = this.colors[this.map.data[from + column]];
      }
    }
    this.context.putImageData(image, x, y);
  }

  get size() {
    return { width: this.frame.clientWidth, height: this.frame.clientHeight };
  }

  fit() {
    if (this.map) this.place(fitted(this.map, this.size));
  }

  /**
   * @param {number} factor
   * @param {Point} [at]  a point of the frame
   */
  zoom(factor, at = { x: this.size.width / 2, y: this.size.height / 2 }) {
    if (this.map) this.place(zoomed(this.view, factor, at, this.map, this.size));
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    if (this.map) this.place(panned(this.view, dx, dy, this.map, this.size));
  }

  /** @param {import("./viewport.js").Viewport} view */
  place(view) {
    if (!this.map) return;
    this.view = view;
    this.canvas.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    this.axis.style.transform = `translateX(${view.x + (this.map.width * view.scale) / 2}px)`;
    this.onZoom(Math.round((100 * view.scale) / fitted(this.map, this.size).scale));
  }

  /**
   * The point of the map under a pointer.
   *
   * @param {{clientX: number, clientY: number}} event
   */
  pointOf(event) {
    return toMap(this.view, this.framePoint(event));
  }

  /** @param {{clientX: number, clientY: number}} event */
  framePoint({ clientX, clientY }) {
    const box = this.frame.getBoundingClientRect();
    return { x: clientX - box.left - this.frame.clientLeft, y: clientY - box.top - this.frame.clientTop };
  }

  /**
   * @param {Point | null} at  a point of the map
   * @param {number} size  of the brush, in pixels of the map
   */
  showCursor(at, size) {
    this.cursor.hidden = at === null;
    if (!at) return;
    const diameter = Math.max(5, size * this.view.scale);
    const x = this.view.x + at.x * this.view.scale - diameter / 2;
    const y = this.view.y + at.y * this.view.scale - diameter / 2;
    this.cursor.style.width = this.cursor.style.height = `${diameter}px`;
    this.cursor.style.transform = `translate(${x}px, ${y}px)`;
  }

  /** @param {boolean} mirror */
  showAxis(mirror) {
    this.axis.hidden = !mirror;
  }
}
