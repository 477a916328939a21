/**
 * The server's surface as functions. Knows HTTP, not the page.
 *
 * @typedef {import("./label_map.js").Label} Label
 * @typedef {object} Model
 * @property {string} name
 * @property {string} [description]
 * @property {string} [licence]
 * @property {number} width
 * @property {number} height
 * @property {number} label_count
 * @property {boolean} [accepts_style]
 * @property {boolean} [has_latent]
 * @property {boolean} [default]
 * @property {string[]} [styles]
 * @property {Label[]} [labels]
 * @property {number | null} [unknown_label]
 *
 * @typedef {object} Wish  what a picture is made from
 * @property {Blob} mask
 * @property {string} model
 * @property {string} seed
 * @property {number} [count]
 * @property {Blob | null} [style]
 * @property {string | null} [stylePreset]
 * @property {number} [styleNoise]  of a style picture: a preset is one latent, without a spread
 * @property {number[] | null} [latent]
 *
 * @typedef {{seed: string, blob: Blob, latent: number[] | null}} Picture
 * @typedef {{pictures: Picture[], timing: Record<string, number>, model: string, batch: string | null}} Answer
 */
import { parseServerTiming } from "./timing.js";

/** A refusal, with the sentence that the server gave. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, retryAfter?: number | null, requestId?: string | null, lost?: boolean}} given
   */
  constructor(message, { status = 0, retryAfter = null, requestId = null, lost = false }) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
    this.requestId = requestId;
    /** Whether no server answered. */
    this.lost = lost;
  }
}

export class Api {
  /**
   * @param {typeof fetch} fetcher
   * @param {string} [base]
   */
  constructor(fetcher, base = "") {
    this.fetcher = fetcher;
    this.base = base;
    /** @type {string | null} */
    this.key = null;
  }

  /** @returns {Promise<Model[]>} */
  async models() {
    return (await (await this.call("/models")).json()).models;
  }

  /**
   * @param {string} name
   * @returns {Promise<Model>}
   */
  async model(name) {
    return (await this.call(`/models/${encodeURIComponent(name)}`)).json();
  }

  /**
   * What the server takes a file for as a mask of a model: grey ids at the model's size, as a PNG.
   *
   * @param {Blob} file
   * @param {string} model
   * @returns {Promise<{png: Uint8Array<ArrayBuffer>, format: string}>}
   * @throws {ApiError} with a sentence for the person who chose the file
   */
  async readMask(file, model) {
    const answer = await this.call(`/mask?model=${encodeURIComponent(model)}`, {
      method: "POST",
      body: file,
      headers: { "Content-Type": "image/png", Accept: "image/png" },
    });
    const png = new Uint8Array(await answer.arrayBuffer());
    return { png, format: answer.headers.get("X-Mask-Format") ?? "" };
  }

  /**
   * @param {Wish} wish
   * @param {AbortSignal} [signal]
   * @returns {Promise<Answer>}
   */
  async synthesize(wish, signal) {
    const answer = await this.call("/synthesize", {
      method: "POST",
      body: formOf(wish),
      headers: { Accept: "application/json" },
      signal,
    });
    const body = parseAnswer(await answer.text());
    return {
      pictures: body.pictures.map(pictureOf),
      timing: parseServerTiming(answer.headers.get("Server-Timing") ?? ""),
      model: body.model,
      batch: answer.headers.get("X-Batch-Size"),
    };
  }

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   */
  async call(path, init = {}) {
    const headers = new Headers(init.headers);
    if (this.key) headers.set("Authorization", `Bearer ${this.key}`);
    let answer;
    try {
      answer = await this.fetcher(this.base + path, { ...init, headers });
    } catch (cause) {
      if (init.signal?.aborted) throw cause;
      throw new ApiError("The server cannot be reached.", { lost: true });
    }
    if (!answer.ok) throw await refusalOf(answer);
    return answer;
  }
}

/**
 * The multipart body; options that are not set are left to the server.
 *
 * @param {Wish} wish
 */
export function formOf(wish) {
  const form = new FormData();
  form.set("mask", wish.mask, "mask.png");
  if (wish.style) form.set("style", wish.style, "style");
  for (const [name, value] of fieldsOf(wish)) form.set(name, value);
  return form;
}

/**
 * The options of a wish as the text fields of the form.
 *
 * @param {Omit<Wish, "mask">} wish
 * @returns {[string, string][]}
 */
export function fieldsOf(wish) {
  /** @type {[string, string][]} */
  const fields = [["mask_format", "ids"], ["model", wish.model], ["seed", wish.seed]];
  if (wish.count && wish.count > 1) fields.push(["count", String(wish.count)]);
  if (wish.latent) return [...fields, ["latent", JSON.stringify(wish.latent)]];
  if (wish.style && wish.styleNoise) fields.push(["style_noise", String(wish.styleNoise)]);
  if (wish.stylePreset && !wish.style) fields.push(["style_preset", wish.stylePreset]);
  return fields;
}

/**
 * JSON with seeds kept as text: they have 64 bits and JavaScript's numbers have 53.
 *
 * @param {string} text
 */
export function parseAnswer(text) {
  return JSON.parse(text.replace(/"seed"\s*:\s*(\d+)/g, '"seed":"$1"'));
}

/**
 * @param {{seed: string, media_type: string, data: string, latent?: number[]}} picture
 * @returns {Picture}
 */
function pictureOf({ seed, media_type, data, latent }) {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return { seed: String(seed), blob: new Blob([bytes], { type: media_type }), latent: latent ?? null };
}

/** @param {Response} answer */
async function refusalOf(answer) {
  const problem = await answer.json().catch(() => ({}));
  const message = problem.detail ?? problem.title ?? `The server answered ${answer.status}.`;
  return new ApiError(message, {
    status: answer.status,
    retryAfter: Number(answer.headers.get("Retry-After")) || null,
    requestId: problem.request_id ?? answer.headers.get("X-Request-Id"),
  });
}
