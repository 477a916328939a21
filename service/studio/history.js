/**
 * Undo and redo: for every step the rectangle that it changed, before and after. A whole map where the map itself
 * was replaced. Bounded by bytes, oldest steps forgotten first.
 *
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 * @typedef {import("./label_map.js").Rect} Rect
 * @typedef {{rect: Rect, before: Uint8Array, after: Uint8Array}} Step
 */

export class History {
  /** @param {number} [maxBytes] */
  constructor(maxBytes = 32 << 20) {
    this.maxBytes = maxBytes;
    /** @type {Step[]} */
    this.done = [];
    /** @type {Step[]} */
    this.undone = [];
    this.bytes = 0;
  }

  clear() {
    this.done = [];
    this.undone = [];
    this.bytes = 0;
  }

  get canUndo() {
    return this.done.length > 0;
  }

  get canRedo() {
    return this.undone.length > 0;
  }

  /**
   * Remembers what changed within `rect` since `before`, a copy of the whole map's data. A change of nothing is no step.
   *
   * @param {Uint8Array} before
   * @param {LabelMap} map
   * @param {Rect} rect
   * @returns {boolean} whether anything changed
   */
  record(before, map, rect) {
    const step = { rect, before: cut({ ...map, data: before }, rect), after: cut(map, rect) };
    if (step.before.every((label, i) => label === step.after[i])) return false;
    this.bytes += size(step) - this.undone.reduce((sum, undone) => sum + size(undone), 0);
    this.undone = [];
    this.done.push(step);
    while (this.bytes > this.maxBytes && this.done.length > 1) {
      const [forgotten] = this.done.splice(0, 1);
      this.bytes -= size(forgotten);
    }
    return true;
  }

  /**
   * @param {LabelMap} map
   * @returns {Rect | null} what changed
   */
  undo(map) {
    const step = this.done.pop();
    if (!step) return null;
    this.undone.push(step);
    paste(map, step.rect, step.before);
    return step.rect;
  }

  /**
   * @param {LabelMap} map
   * @returns {Rect | null} what changed
   */
  redo(map) {
    const step = this.undone.pop();
    if (!step) return null;
    this.done.push(step);
    paste(map, step.rect, step.after);
    return step.rect;
  }
}

/** @param {Step} step */
function size(step) {
  return step.before.length + step.after.length;
}

/**
 * @param {LabelMap} map
 * @param {Rect} rect
 */
function cut(map, rect) {
  const out = new Uint8Array(rect.width * rect.height);
  for (let y = 0; y < rect.height; y += 1) {
    const from = (rect.y + y) * map.width + rect.x;
    out.set(map.data.subarray(from, from + rect.width), y * rect.width);
  }
  return out;
}

/**
 * @param {LabelMap} map
 * @param {Rect} rect
 * @param {Uint8Array} labels
 */
function paste(map, rect, labels) {
  for (let y = 0; y < rect.height; y += 1) {
    map.data.set(labels.subarray(y * rect.width, (y + 1) * rect.width), (rect.y + y) * map.width + rect.x);
  }
}
