/**
 * The studio: a painter, a look and a model, and the picture that they ask for.
 *
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./api.js").Answer} Answer
 * @typedef {import("./api.js").Model} Model
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 */
import { CanvasView } from "./canvas_view.js";
import { paletteOf } from "./colors.js";
import { element } from "./dom.js";
import { drawScene, scenesFor } from "./examples.js";
import { countLabels, createLabelMap, relabel, resample } from "./label_map.js";
import { findLabel, translation } from "./label_names.js";
import { drawSeed } from "./latent.js";
import { Live } from "./live.js";
import { blendAt, besides, firstLook, wishOf } from "./look.js";
import { LookView } from "./look_view.js";
import { Painter } from "./painter.js";
import { PaletteView } from "./palette_view.js";
import { PictureView } from "./picture_view.js";
import { readPng } from "./png_read.js";
import { encodeIndexed } from "./png_write.js";
import { StripView } from "./strip_view.js";

export class Studio {
  /**
   * @param {Api} api
   * @param {() => void} onChange  something worth keeping changed
   */
  constructor(api, onChange) {
    this.api = api;
    this.onChange = onChange;
    /** @type {Model | null} */
    this.model = null;
    /** @type {Record<string, {map: LabelMap, base: number}>} */
    this.masks = {};
    /** @type {Answer | null} */
    this.answer = null;
    this.strokeEnded = 0;
    this.onRetry = () => {};
    /** @type {import("./tools.js").Brush} */
    this.brush = { tool: "brush", label: 0, base: 0, size: 24, mirror: false };
    this.look = firstLook();
    this.canvas = new CanvasView();
    this.painter = new Painter(this.brush, (rect, final) => this.painted(rect, final));
    this.palette = new PaletteView((label) => (this.brush.label = label));
    this.picture = new PictureView({ onRetry: () => this.retry(), onKey: (key) => this.useKey(key) });
    this.lookView = new LookView(this.look, () => this.lookChanged(), (slot) => this.keep(slot));
    this.strip = new StripView((beside) => this.chooseBeside(beside));
    /** @type {Live<Answer>} */
    this.live = new Live({
      send: (signal) => this.send(signal),
      onResult: (answer, took) => void this.arrived(answer, took),
      onFailure: (failure, retryIn) => this.picture.showProblem(failure, retryIn),
      onState: (state) => this.picture.showState(state),
      now: () => performance.now(),
      later: (ms, then) => {
        const timer = setTimeout(then, ms);
        return () => clearTimeout(timer);
      },
    });
  }

  /** @param {Model} model  with its labels */
  open(model) {
    const before = this.model;
    const old = this.painter.map;
    this.model = model;
    this.live.clear();
    Object.assign(this.look, { a: null, b: null, blending: false });
    this.lookView.forgetKept();
    const labels = this.labels;
    const kept = this.masks[model.name];
    const fits = kept && kept.map.width === model.width && kept.map.height === model.height;
    this.setBase(fits ? kept.base : (findLabel("sky", labels) ?? model.unknown_label ?? labels[0].id));
    this.palette.show(labels, paletteOf(labels), findLabel("mountain", labels) ?? labels[0].id);
    this.painter.map = createLabelMap(1, 1); // the old one has the old model's ids
    this.painter.open(fits ? kept.map : this.firstMap(before, old));
    this.lookView.showModel(model);
    this.makeThumbs();
  }

  /** Every label, those without a name included. */
  get labels() {
    const { label_count = 1, labels = [], unknown_label = null } = this.model ?? {};
    const known = new Map(labels.map((label) => [label.id, label]));
    const last = Math.max(label_count - 1, unknown_label ?? 0, ...known.keys());
    return Array.from({ length: last + 1 }, (_, id) => known.get(id) ?? { id, name: id === unknown_label ? "unknown" : `class ${id}` });
  }

  /**
   * The mask that was painted for the model before, in this one's labels; without one, an example.
   *
   * @param {Model | null} before
   * @param {LabelMap} old
   */
  firstMap(before, old) {
    const model = /** @type {Model} */ (this.model);
    if (!before) return this.scene(0);
    const table = translation(before.labels ?? [], this.labels, this.brush.base);
    const carried = relabel(resample(old, model.width, model.height), table);
    // One label alone says that the two models share no names.
    return countLabels(carried).filter(Boolean).length > 1 ? carried : this.scene(0);
  }

  get scenes() {
    return scenesFor(this.labels);
  }

  /** @param {number} index */
  scene(index) {
    return drawScene(this.scenes[index], this.labels, /** @type {Model} */ (this.model));
  }

  /** @param {LabelMap} map  another mask; undo brings the present one back */
  begin(map) {
    if (!this.look.locked) this.look.seed = drawSeed(Math.random);
    this.look.blending = false;
    this.lookView.show();
    this.painter.replace(map);
  }

  /** @param {number} label */
  setBase(label) {
    this.brush.base = label;
    element("base-name").textContent = this.labels.find(({ id }) => id === label)?.name ?? String(label);
  }

  /**
   * @param {import("./label_map.js").Rect} rect
   * @param {boolean} final
   */
  painted(rect, final) {
    if (!this.model || this.painter.map.width !== this.model.width) return;
    if (this.canvas.map === this.painter.map) this.canvas.paint(rect);
    else this.canvas.show(this.painter.map, paletteOf(this.labels));
    this.masks[this.model.name] = { map: this.painter.map, base: this.brush.base };
    if (final) {
      this.strokeEnded = performance.now();
      this.onChange();
    }
    this.live.request(final);
    if (final) this.makeStrip();
  }

  lookChanged() {
    this.onChange();
    this.live.request();
    this.makeStrip();
  }

  /** The mask as the file that is sent and saved. */
  async maskFile() {
    const bytes = await encodeIndexed(this.painter.map, paletteOf(this.labels));
    return new Blob([bytes], { type: "image/png" });
  }

  /** @param {AbortSignal} signal */
  async send(signal) {
    const model = /** @type {Model} */ (this.model);
    const wish = wishOf(this.look, model);
    return this.api.synthesize({ ...wish, mask: await this.maskFile() }, signal);
  }

  /**
   * @param {Answer} answer
   * @param {number} took
   */
  async arrived(answer, took) {
    this.answer = answer;
    const since = this.strokeEnded;
    this.strokeEnded = 0;
    await this.picture.show(answer, took, this.describe());
    if (since) requestAnimationFrame(() => performance.measure("stroke to picture", { start: since }));
  }

  /** The picture in words: what the mask has most of. */
  describe() {
    const counts = countLabels(this.painter.map);
    const total = this.painter.map.data.length;
    const most = [...counts.entries()].filter(([, pixels]) => pixels > total / 100).sort(([, a], [, b]) => b - a);
    const parts = most.slice(0, 5).map(([id, pixels]) => `${this.palette.nameOf(id)} ${Math.round((100 * pixels) / total)}%`);
    return `Picture made from the mask: ${parts.join(", ")}`;
  }

  /** Every mood, and none, tried on the same example in idle moments. */
  makeThumbs() {
    const model = /** @type {Model} */ (this.model);
    const mask = encodeIndexed(this.scene(0), paletteOf(this.labels));
    const styles = model.accepts_style ? ["", ...(model.styles ?? [])] : [];
    const thumb = (/** @type {string} */ style) => async (/** @type {AbortSignal} */ signal) => {
      const wish = { model: model.name, seed: "1", stylePreset: style || null, mask: new Blob([await mask], { type: "image/png" }) };
      const { pictures } = await this.api.synthesize(wish, signal);
      if (this.model === model) this.lookView.showThumb(style, pictures[0].blob);
    };
    this.live.whenIdle("moods", styles.map(thumb));
  }

  /** The pictures side by side, one after the other in idle moments. */
  makeStrip() {
    const model = /** @type {Model} */ (this.model);
    const shown = besides(this.look);
    const chosen = wishOf(this.look, model);
    this.strip.show(shown, ({ seed, t }) => (t === null ? seed === chosen.seed : t === this.look.t));
    const look = { ...this.look };
    const jobs = shown.map(({ seed, t }, place) => async (/** @type {AbortSignal} */ signal) => {
      const wish = t === null ? wishOf({ ...look, seed }, model) : wishOf({ ...look, t }, model);
      const { pictures } = await this.api.synthesize({ ...wish, mask: await this.maskFile() }, signal);
      this.strip.showPicture(place, pictures[0].blob);
    });
    this.live.whenIdle("strip", jobs);
  }

  /** @param {{seed: string, t: number | null}} beside */
  chooseBeside({ seed, t }) {
    this.lookView.change(t === null ? { seed } : { t });
  }

  /**
   * Keeps the present look to blend with.
   *
   * @param {"a" | "b"} slot
   */
  keep(slot) {
    const [picture] = this.answer?.pictures ?? [];
    if (!picture?.latent) return;
    this.look[slot] = blendAt(this.look, this.look.t) ?? { seed: picture.seed, latent: picture.latent };
    this.lookView.showKept(slot, picture.blob);
    this.lookView.show();
    this.makeStrip();
  }

  /** @param {string} key */
  useKey(key) {
    this.api.key = key;
    this.picture.clearProblem();
    this.retry();
  }

  /** Now rather than after the pause. */
  retry() {
    this.onRetry();
    if (!this.model) return;
    this.live.request();
    this.live.retryNow();
  }

  /** @param {Blob} file */
  async importMask(file) {
    const model = /** @type {Model} */ (this.model);
    try {
      // The server alone decides what a file's pixels mean.
      const { png, format } = await this.api.readMask(file, model.name);
      const { width, height, samples } = await readPng(png);
      this.begin({ width, height, data: Uint8Array.from(samples) });
      const read = element("mask-read");
      read.textContent = `Read as ${format.replaceAll("_", " ")}`;
      read.hidden = false;
    } catch (error) {
      this.picture.showProblem(/** @type {Error} */ (error), null);
    }
  }
}
