/**
 * Pictures side by side, each a button that chooses its look.
 *
 * @typedef {{label: string, seed: string, t: number | null}} Beside
 */
import { element, make } from "./dom.js";

export class StripView {
  /** @param {(beside: Beside) => void} onChoose */
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.strip = element("strip");
    /** @type {HTMLElement[]} */
    this.thumbs = [];
    this.key = "";
  }

  /**
   * Keeps the pictures that are there while new ones are made, as long as they stand for the same looks.
   *
   * @param {Beside[]} besides
   * @param {(beside: Beside) => boolean} isChosen
   */
  show(besides, isChosen) {
    const key = JSON.stringify(besides);
    if (key !== this.key) {
      this.key = key;
      this.thumbs = besides.map(() => make("span", { class: "thumb" }));
      this.strip.replaceChildren(...besides.map((beside, i) => this.button(beside, this.thumbs[i])));
    }
    besides.forEach((beside, i) => this.strip.children[i].setAttribute("aria-pressed", String(isChosen(beside))));
  }

  /**
   * @param {Beside} beside
   * @param {HTMLElement} thumb
   */
  button(beside, thumb) {
    const name = beside.t === null ? `Seed ${beside.label}` : `${beside.label} of the way`;
    const button = make("button", { type: "button", "aria-label": name }, thumb, beside.label);
    button.addEventListener("click", () => this.onChoose(beside));
    return button;
  }

  /**
   * @param {number} place
   * @param {Blob} blob
   */
  showPicture(place, blob) {
    const image = make("img", { alt: "" });
    image.src = URL.createObjectURL(blob);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
    this.thumbs[place]?.replaceChildren(image);
  }
}
