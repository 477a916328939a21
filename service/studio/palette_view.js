/**
 * The model's labels to choose from.
 *
 * @typedef {import("./label_map.js").Label} Label
 * @typedef {import("./colors.js").Rgb} Rgb
 */
import { formatColor } from "./colors.js";
import { choice, choose, element, input, make, onChoice } from "./dom.js";
import { searchLabels, typeDigit } from "./label_names.js";

/** Digits that follow one another within this many ms are one number. */
const DIGITS_WITHIN = 700;
/** A shorter list is taken in at a glance; on a narrow page, where the space is dear, one up to the second number. */
const [SEARCH_FROM, NARROW_SEARCH_FROM] = [8, 18];

export class PaletteView {
  /** @param {(label: number) => void} onChoose */
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.list = element("labels");
    this.search = input("search");
    /** @type {Label[]} */
    this.labels = [];
    /** @type {Rgb[]} */
    this.palette = [];
    this.chosen = 0;
    this.typed = { text: "", at: 0 };
    onChoice(this.list, (value) => this.choose(Number(value)));
    this.search.addEventListener("input", () => this.draw());
    this.search.addEventListener("keydown", (event) => this.searchKey(event));
  }

  /**
   * @param {Label[]} labels
   * @param {Rgb[]} palette
   * @param {number} chosen
   */
  show(labels, palette, chosen) {
    Object.assign(this, { labels, palette });
    this.search.value = "";
    this.search.hidden = labels.length < SEARCH_FROM;
    this.search.classList.toggle("wide", labels.length < NARROW_SEARCH_FROM);
    this.draw();
    this.choose(chosen);
  }

  draw() {
    const found = searchLabels(this.labels, this.search.value);
    this.list.replaceChildren(
      ...found.map(({ id, name }) => {
        const swatch = make("span", { class: "swatch" });
        swatch.style.backgroundColor = formatColor(this.palette[id]);
        const number = make("span", { class: "number" }, String(id));
        return choice({ group: "label", value: String(id), checked: id === this.chosen }, swatch, name, number);
      }),
    );
    if (found.length === 0) this.list.append(make("p", { class: "dim" }, "No label has this name."));
  }

  /** @param {number} label */
  choose(label) {
    this.chosen = label;
    choose(this.list, String(label));
    const row = this.list.querySelector("label:has(:checked)");
    row?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.onChoose(label);
  }

  /** @param {string} digit */
  digit(digit) {
    const now = performance.now();
    const before = now - this.typed.at < DIGITS_WITHIN ? this.typed.text : "";
    const { typed, id } = typeDigit(before, digit, this.labels);
    this.typed = { text: typed, at: now };
    if (id !== null) this.choose(id);
  }

  /** @param {KeyboardEvent} event */
  searchKey(event) {
    const [first] = searchLabels(this.labels, this.search.value);
    if (event.key === "Enter" && first) this.choose(first.id);
    if (event.key !== "Enter" && event.key !== "Escape") return;
    this.search.value = "";
    this.draw();
    this.choose(this.chosen);
    element("canvas").focus();
  }

  /** @param {number} label */
  nameOf(label) {
    return this.labels.find(({ id }) => id === label)?.name ?? `class ${label}`;
  }
}
