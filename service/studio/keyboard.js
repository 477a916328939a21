/**
 * Keys: shortcuts everywhere but in text fields, and painting without a pointer on the canvas.
 *
 * @typedef {import("./canvas_view.js").CanvasView} CanvasView
 * @typedef {import("./painter.js").Painter} Painter
 * @typedef {{keys: string, does: string}} KeyHelp
 */
import { clip } from "./label_map.js";
import { isShape } from "./tools.js";

/** @type {KeyHelp[]} */
export const KEYS = [
  { keys: "B E F L R O", does: "brush, eraser, fill, line, rectangle, ellipse" },
  { keys: "0 … 9", does: "label by number (two digits in a row: 12)" },
  { keys: "/", does: "search labels" },
  { keys: "[ ]", does: "brush size" },
  { keys: "M", does: "mirror" },
  { keys: "D", does: "another seed" },
  { keys: "Ctrl+Z Ctrl+Shift+Z", does: "undo, redo" },
  { keys: "+ − Alt+0", does: "zoom, fit; wheel and two fingers too" },
  { keys: "Space", does: "hold and drag to move the map" },
  { keys: "Arrows Enter", does: "move the brush and paint without a pointer" },
  { keys: "Esc", does: "take back the stroke under way" },
];

/**
 * @param {Record<string, () => void>} commands  by key
 * @param {(digit: string) => void} onDigit
 */
export function listenToShortcuts(commands, onDigit) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const name = nameOf(event);
    if (!name) return;
    if (/^\d$/.test(name)) onDigit(name);
    else if (commands[name]) commands[name]();
    else return;
    event.preventDefault();
  });
}

/**
 * `ctrl+z`, `b`, `alt+0`; the command key counts as control.
 *
 * @param {KeyboardEvent} event
 */
function nameOf(event) {
  const held = [
    ...(event.ctrlKey || event.metaKey ? ["ctrl"] : []),
    ...(event.altKey ? ["alt"] : []),
    ...(event.shiftKey && (event.ctrlKey || event.metaKey) ? ["shift"] : []),
  ];
  return [...held, event.key.toLowerCase()].join("+");
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  if (target instanceof HTMLInputElement) return !["radio", "checkbox", "range", "button"].includes(target.type);
  return target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

/** The brush moved by arrow keys. */
export class KeyboardBrush {
  /**
   * @param {CanvasView} view
   * @param {Painter} painter
   * @param {(text: string) => void} announce
   * @param {(label: number) => string} nameOfLabel
   */
  constructor(view, painter, announce, nameOfLabel) {
    this.view = view;
    this.painter = painter;
    this.announce = announce;
    this.nameOfLabel = nameOfLabel;
    /** @type {{x: number, y: number} | null} */
    this.at = null;
    view.canvas.addEventListener("keydown", (event) => this.press(event));
    view.canvas.addEventListener("blur", () => this.leave());
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const step = event.shiftKey ? 16 : 2;
    const moves = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step],
    });
    if (event.key in moves) this.move(...moves[event.key]);
    else if (event.key === "Enter") this.paint();
    else return;
    event.preventDefault();
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  move(dx, dy) {
    const { map } = this.painter;
    const from = this.at ?? { x: Math.floor(map.width / 2) + 0.5, y: Math.floor(map.height / 2) + 0.5 };
    const to = { x: from.x + dx, y: from.y + dy };
    if (clip({ ...to, width: 0.1, height: 0.1 }, map).width > 0) this.at = to;
    else this.at = from;
    this.painter.move(this.at);
    this.view.showCursor(this.at, this.painter.brush.size);
    this.announce(this.describe());
  }

  /** A shape begins with one Enter and ends with the next; anything else is one dab. */
  paint() {
    if (!this.at) this.move(0, 0);
    if (!this.at) return;
    if (this.painter.stroke) {
      this.painter.release();
      this.announce("Drawn.");
    } else {
      this.painter.press(this.at);
      if (isShape(this.painter.brush.tool)) this.announce("Begun; move and press Enter to end.");
      else {
        this.painter.release();
        this.announce(`Painted. ${this.describe()}`);
      }
    }
  }

  leave() {
    if (this.at) {
      this.painter.cancel();
      this.view.showCursor(null, 0);
    }
    this.at = null;
  }

  describe() {
    const { map } = this.painter;
    const at = this.at ?? { x: 0, y: 0 };
    const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
    return `${x}, ${y}: ${this.nameOfLabel(map.data[y * map.width + x])}`;
  }
}
