/**
 * Seed, style and blending on the page. Holds no look of its own: it shows one and reports what was asked for.
 *
 * @typedef {import("./look.js").Look} Look
 * @typedef {import("./api.js").Model} Model
 */
import { button, choice, choose, element, input, make, onChoice, onDrop, select } from "./dom.js";
import { drawSeed, parseSeed } from "./latent.js";

/** The values of the mood radios that are no preset's name. */
const [NONE, FILE] = ["", "\u0000file"];

export class LookView {
  /**
   * @param {Look} look  changed in place
   * @param {() => void} onChange
   * @param {(slot: "a" | "b") => void} onKeep
   */
  constructor(look, onChange, onKeep) {
    this.look = look;
    this.onChange = onChange;
    this.moods = element("moods");
    /** @type {Map<string, HTMLElement>} */
    this.thumbs = new Map();
    this.listenToSeed();
    this.listenToStyle();
    this.listenToBlend(onKeep);
  }

  listenToSeed() {
    input("seed").addEventListener("change", () => {
      this.look.seed = parseSeed(input("seed").value) ?? this.look.seed;
      this.leaveBlend();
    });
    button("reroll").addEventListener("click", () => this.reroll());
    input("lock").addEventListener("change", () => {
      this.look.locked = input("lock").checked;
      this.show();
    });
    select("beside").addEventListener("change", () => this.change({ beside: Number(select("beside").value) }));
  }

  listenToStyle() {
    onChoice(this.moods, (value) => {
      this.look.preset = value === NONE || value === FILE ? null : value;
      if (value !== FILE) this.look.file = null;
      this.leaveBlend();
    });
    input("noise").addEventListener("input", () => this.change({ noise: Number(input("noise").value) }));
    button("choose-style").addEventListener("click", () => input("style-file").click());
    input("style-file").addEventListener("change", () => {
      const [file] = input("style-file").files ?? [];
      if (file) this.takeStyle(file);
      input("style-file").value = "";
    });
    for (const target of ["picture-frame", "style-card"]) onDrop(element(target), (file) => this.takeStyle(file));
  }

  /** @param {(slot: "a" | "b") => void} onKeep */
  listenToBlend(onKeep) {
    button("keep-a").addEventListener("click", () => onKeep("a"));
    button("keep-b").addEventListener("click", () => onKeep("b"));
    input("blend").addEventListener("input", () => this.change({ t: Number(input("blend").value), blending: true }));
    button("stop-blend").addEventListener("click", () => this.leaveBlend());
  }

  reroll() {
    if (this.look.locked) return;
    this.look.seed = drawSeed(Math.random);
    this.leaveBlend();
  }

  leaveBlend() {
    this.change({ blending: false });
  }

  /** @param {Partial<Look>} change */
  change(change) {
    Object.assign(this.look, change);
    this.show();
    this.onChange();
  }

  /** @param {Blob} file */
  takeStyle(file) {
    this.look.preset = null;
    this.look.file = file;
    this.showFile();
    this.leaveBlend();
  }

  /** @param {Model} model */
  showModel(model) {
    this.thumbs.clear();
    this.moods.replaceChildren(this.mood(NONE, "From seed"));
    for (const style of model.styles ?? []) this.moods.append(this.mood(style, style));
    element("style-card").hidden = !model.accepts_style;
    element("blend-card").hidden = !model.has_latent;
    this.showFile();
    this.show();
  }

  /**
   * @param {string} value
   * @param {string} name
   */
  mood(value, name) {
    const thumb = make("span", { class: "thumb", "aria-hidden": "true" });
    this.thumbs.set(value, thumb);
    return choice({ group: "mood", value, checked: false }, thumb, make("span", {}, name));
  }

  /** The dropped picture among the moods. */
  showFile() {
    this.moods.querySelector(`[data-file]`)?.remove();
    if (!this.look.file) return;
    const mood = this.mood(FILE, "Your picture");
    mood.dataset.file = "";
    this.moods.append(mood);
    this.showThumb(FILE, this.look.file);
  }

  /**
   * @param {string} style  a preset's name; empty for none
   * @param {Blob} blob
   */
  showThumb(style, blob) {
    const image = make("img", { alt: "" });
    image.src = URL.createObjectURL(blob);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    this.thumbs.get(style)?.replaceChildren(image);
  }

  /**
   * @param {"a" | "b"} slot
   * @param {Blob} blob
   */
  showKept(slot, blob) {
    const image = make("img", { alt: "" });
    image.src = URL.createObjectURL(blob);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    button(`keep-${slot}`).querySelector("img")?.remove();
    button(`keep-${slot}`).prepend(image);
  }

  forgetKept() {
    for (const slot of ["keep-a", "keep-b"]) button(slot).querySelector("img")?.remove();
  }

  show() {
    const { seed, locked, preset, file, noise, a, b, t, blending, beside } = this.look;
    input("seed").value = seed;
    input("seed").disabled = button("reroll").disabled = locked;
    input("lock").checked = locked;
    choose(this.moods, file ? FILE : (preset ?? NONE));
    input("noise").value = String(noise);
    element("noise-field").hidden = !file;
    input("blend").disabled = !a || !b;
    input("blend").value = String(t);
    button("stop-blend").hidden = !blending;
    element("blend-help").textContent = blending ? `${Math.round(100 * t)}% of the way from A to B` : a && b ? "Slide from A to B." : "Keep a look as A, change seed or style, keep B, then slide.";
    select("beside").value = String(beside);
    for (const option of select("beside").options) {
      if (option.value !== "0") option.textContent = blending ? `${option.value} steps from A to B` : `${option.value} seeds`;
    }
  }
}
