/**
 * Everything but the mask that a picture is made from. Pure.
 *
 * @typedef {import("./api.js").Model} Model
 * @typedef {import("./api.js").Wish} Wish
 * @typedef {{seed: string, latent: number[]}} Kept  a look to blend with
 * @typedef {object} Look
 * @property {string} seed
 * @property {boolean} locked
 * @property {string | null} preset
 * @property {Blob | null} file
 * @property {number} noise
 * @property {Kept | null} a
 * @property {Kept | null} b
 * @property {number} t  where between them, 0 to 1
 * @property {boolean} blending
 * @property {number} beside  how many pictures side by side
 */
import { slerp } from "./latent.js";

/** @returns {Look} */
export function firstLook() {
  return { seed: "7", locked: false, preset: null, file: null, noise: 0, a: null, b: null, t: 0, blending: false, beside: 0 };
}

/**
 * The look in the words of a request to `model`. What the model cannot do is left out.
 *
 * @param {Look} look
 * @param {Model} model
 * @returns {Omit<Wish, "mask">}
 */
export function wishOf(look, model) {
  const blend = blendAt(look, look.t);
  if (blend && model.has_latent) return { model: model.name, ...blend };
  const wish = { model: model.name, seed: look.seed };
  if (!model.accepts_style) return wish;
  const stylePreset = look.preset && model.styles?.includes(look.preset) ? look.preset : null;
  return { ...wish, style: look.file, stylePreset, styleNoise: look.noise };
}

/**
 * The look between A and B. Its seed is A's, so that only what the latent says changes on the way.
 *
 * @param {Look} look
 * @param {number} t
 * @returns {Kept | null}
 */
export function blendAt({ a, b, blending }, t) {
  return blending && a && b ? { seed: a.seed, latent: slerp(a.latent, b.latent, t) } : null;
}

/**
 * What stands side by side: places between A and B while blending, else the seed and those that follow it.
 *
 * @param {Look} look
 * @returns {{label: string, seed: string, t: number | null}[]}
 */
export function besides(look) {
  const count = look.beside;
  if (count === 0) return [];
  const places = Array.from({ length: count }, (_, i) => i);
  if (look.blending && look.a && look.b) {
    const { seed } = look.a;
    return places.map((i) => ({ label: `${Math.round((100 * i) / (count - 1))}%`, seed, t: i / (count - 1) }));
  }
  return places.map((i) => {
    const seed = BigInt.asUintN(64, BigInt(look.seed) + BigInt(i)).toString();
    return { label: seed, seed, t: null };
  });
}
