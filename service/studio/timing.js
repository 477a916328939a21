/**
 * The `Server-Timing` header: milliseconds by name.
 *
 * @param {string} header
 * @returns {Record<string, number>}
 */
export function parseServerTiming(header) {
  /** @type {Record<string, number>} */
  const timing = {};
  for (const entry of header.split(",")) {
    const [name, ...parameters] = entry.split(";").map((part) => part.trim());
    const duration = parameters.find((parameter) => parameter.startsWith("dur="));
    if (name && duration) timing[name] = Number(duration.slice(4));
  }
  return timing;
}

/**
 * What the status line says about a picture.
 *
 * @param {Record<string, number>} timing
 * @param {number} total  ms in the browser, from the request to the answer
 */
export function describeTiming(timing, total) {
  const known = ["queue", "generate"].filter((name) => Number.isFinite(timing[name]));
  return [...known.map((name) => `${name} ${formatMs(timing[name])}`), `total ${formatMs(total)}`].join(" · ");
}

/** @param {number} ms */
export function formatMs(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}
