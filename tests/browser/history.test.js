import assert from "node:assert/strict";
import { test } from "node:test";
import { History } from "../../service/studio/history.js";
import { createLabelMap } from "../../service/studio/label_map.js";
import { Painter } from "../../service/studio/painter.js";

/** @returns {import("../../service/studio/tools.js").Brush} */
const brush = () => ({ tool: "brush", label: 1, base: 0, size: 6, mirror: false });

function painter() {
  /** @type {boolean[]} */
  const changes = [];
  const made = new Painter(brush(), (_rect, final) => changes.push(final));
  made.open(createLabelMap(32, 32));
  return { painter: made, changes };
}

/** @param {Painter} painter @param {number} x @param {number} label */
function dab(painter, x, label) {
  painter.brush.label = label;
  painter.press({ x, y: 16 });
  painter.move({ x: x + 6, y: 20 });
  painter.release();
}

test("undo and redo walk back and forth through every state", () => {
  const { painter: studio } = painter();
  const states = [studio.map.data.slice()];
  for (const [x, label] of [[4, 1], [12, 2], [6, 3]]) {
    dab(studio, x, label);
    states.push(studio.map.data.slice());
  }
  for (const state of states.slice(0, -1).reverse()) {
    studio.undo();
    assert.deepEqual(studio.map.data, state);
  }
  assert.ok(!studio.history.canUndo);
  for (const state of states.slice(1)) {
    studio.redo();
    assert.deepEqual(studio.map.data, state);
  }
  assert.ok(!studio.history.canRedo);
});

test("a stroke after an undo ends what could be redone", () => {
  const { painter: studio } = painter();
  dab(studio, 4, 1);
  studio.undo();
  dab(studio, 20, 2);
  assert.ok(!studio.history.canRedo);
});

test("a stroke that changes nothing is no step and no final change", () => {
  const { painter: studio, changes } = painter();
  dab(studio, 8, 0);
  assert.ok(!studio.history.canUndo);
  assert.equal(changes.filter(Boolean).length, 1, "the opening alone");
});

test("a cancelled stroke leaves the map as it was", () => {
  const { painter: studio } = painter();
  dab(studio, 4, 1);
  const before = studio.map.data.slice();
  studio.brush.label = 5;
  studio.press({ x: 16, y: 16 });
  studio.move({ x: 30, y: 2 });
  studio.cancel();
  assert.deepEqual(studio.map.data, before);
  studio.undo();
  assert.ok(studio.map.data.every((label) => label === 0));
});

test("a new mask can be undone", () => {
  const { painter: studio } = painter();
  dab(studio, 4, 1);
  const before = studio.map.data.slice();
  studio.replace(createLabelMap(32, 32, 9));
  studio.undo();
  assert.deepEqual(studio.map.data, before);
});

test("history stays within its bytes and forgets the oldest", () => {
  const history = new History(1000);
  const map = createLabelMap(16, 16);
  for (let label = 1; label <= 10; label += 1) {
    const before = map.data.slice();
    map.data.fill(label);
    history.record(before, map, { x: 0, y: 0, width: 16, height: 16 });
  }
  assert.equal(history.bytes, history.done.length * 512);
  assert.ok(history.bytes <= 1000);
  history.undo(map);
  assert.equal(map.data[0], 9);
});
