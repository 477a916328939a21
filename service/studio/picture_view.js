/**
 * The picture, how long it took, and what went wrong.
 *
 * @typedef {import("./api.js").Answer} Answer
 */
import { byId, button, element, input } from "./dom.js";
import { describeTiming } from "./timing.js";

export class PictureView {
  /**
   * @param {object} given
   * @param {() => void} given.onRetry
   * @param {(key: string) => void} given.onKey
   */
  constructor({ onRetry, onKey }) {
    this.image = byId("picture", HTMLImageElement);
    this.status = element("status");
    /** @type {Blob | null} */
    this.blob = null;
    this.url = "";
    button("retry").addEventListener("click", onRetry);
    button("dismiss").addEventListener("click", () => this.clearProblem());
    byId("key-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      onKey(input("key").value);
    });
  }

  /**
   * Puts a picture on the screen once it is decoded, so that nothing flickers.
   *
   * @param {Answer} answer
   * @param {number} took  ms
   * @param {string} description
   */
  async show(answer, took, description) {
    const [{ blob }] = answer.pictures;
    const url = URL.createObjectURL(blob);
    const decoded = new Image();
    decoded.src = url;
    await decoded.decode();
    const old = this.url;
    this.image.src = this.url = url;
    this.image.alt = description;
    this.image.hidden = false;
    this.blob = blob;
    if (old) URL.revokeObjectURL(old);
    button("save-picture").disabled = false;
    this.say(describeTiming(answer.timing, took));
    this.clearProblem();
  }

  /** @param {string} text */
  say(text) {
    element("status-text").textContent = text;
  }

  /** @param {import("./live.js").State} state */
  showState(state) {
    this.status.dataset.state = state;
    if (state === "paused") this.say("waiting for the server");
  }

  /**
   * @param {Error & {status?: number, requestId?: string | null}} failure
   * @param {number | null} retryIn  ms
   */
  showProblem(failure, retryIn) {
    const again = retryIn === null ? "" : `Trying again in ${Math.max(1, Math.round(retryIn / 1000))} s.`;
    const request = failure.requestId ? `(request ${failure.requestId})` : "";
    element("problem-text").textContent = failure.message;
    element("problem-more").textContent = [again, request].filter(Boolean).join(" ");
    element("key-form").hidden = failure.status !== 401 && failure.status !== 403;
    button("retry").hidden = retryIn === null;
    element("problem").hidden = false;
  }

  clearProblem() {
    element("problem").hidden = true;
  }
}
