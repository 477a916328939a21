/** Between two latents, and seeds. */

/**
 * Spherical interpolation: latents are draws from a Gaussian, whose length a straight line would lose on the way.
 * Straight where the two point the same way or one is nothing.
 *
 * @param {number[]} a
 * @param {number[]} b
 * @param {number} t  0 is a, 1 is b
 */
export function slerp(a, b, t) {
  const angle = Math.acos(Math.min(1, Math.max(-1, dot(a, b) / (Math.hypot(...a) * Math.hypot(...b)))));
  const sine = Math.sin(angle);
  if (!(sine > 1e-4)) return a.map((value, i) => (1 - t) * value + t * b[i]);
  const [ofA, ofB] = [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine];
  return a.map((value, i) => ofA * value + ofB * b[i]);
}

/**
 * @param {number[]} a
 * @param {number[]} b
 */
function dot(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

/**
 * A seed short enough to read out.
 *
 * @param {() => number} random  in [0, 1)
 */
export const drawSeed = (random) => String(Math.floor(random() * 1e6));

/**
 * What was typed as a seed, or null where it is none: a whole number of at most 64 bits.
 *
 * @param {string} text
 */
export function parseSeed(text) {
  const digits = text.trim();
  return /^\d{1,20}$/.test(digits) && BigInt(digits) < 1n << 64n ? BigInt(digits).toString() : null;
}
