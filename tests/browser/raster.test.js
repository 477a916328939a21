import assert from "node:assert/strict";
import { test } from "node:test";
import { countLabels, createLabelMap } from "../../service/studio/label_map.js";
import { drawEllipse, drawRectangle, drawSegment, fill } from "../../service/studio/raster.js";
import { Stroke } from "../../service/studio/tools.js";

/** @param {import("../../service/studio/label_map.js").LabelMap} map */
const rows = ({ width, data }) => Array.from({ length: data.length / width }, (_, y) => data.slice(y * width, (y + 1) * width).join(""));

test("a brush of one pixel draws a line without holes", () => {
  const map = createLabelMap(8, 8);
  drawSegment(map, { x: 0.5, y: 0.5 }, { x: 7.5, y: 4.5 }, 1, 1);
  for (let x = 0; x < 8; x += 1) assert.ok(rows(map).some((row) => row[x] === "1"), `column ${x}`);
});

test("a brush paints every pixel within its radius and no other", () => {
  const map = createLabelMap(32, 32);
  drawSegment(map, { x: 16, y: 16 }, { x: 16, y: 16 }, 10, 1);
  map.data.forEach((label, i) => {
    const distance = Math.hypot((i % 32) + 0.5 - 16, Math.floor(i / 32) + 0.5 - 16);
    assert.equal(label, distance <= 5 ? 1 : 0);
  });
});

test("a stroke outside the map changes nothing and touches nothing", () => {
  const map = createLabelMap(8, 8);
  assert.equal(drawSegment(map, { x: -20, y: -20 }, { x: -15, y: -20 }, 4, 1).width, 0);
  assert.equal(countLabels(map)[1], 0);
});

test("a rectangle includes the pixels under both corners, whichever way it is drawn", () => {
  const forth = createLabelMap(6, 6);
  const back = createLabelMap(6, 6);
  drawRectangle(forth, { x: 1.5, y: 1.5 }, { x: 3.5, y: 2.5 }, 1);
  drawRectangle(back, { x: 3.5, y: 2.5 }, { x: 1.5, y: 1.5 }, 1);
  assert.deepEqual(rows(forth), ["000000", "011100", "011100", "000000", "000000", "000000"]);
  assert.deepEqual(back.data, forth.data);
});

test("an ellipse covers about π/4 of its box and stays inside it", () => {
  const map = createLabelMap(100, 100);
  const box = drawEllipse(map, { x: 10.5, y: 20.5 }, { x: 89.5, y: 69.5 }, 1);
  assert.deepEqual(box, { x: 10, y: 20, width: 80, height: 50 });
  assert.ok(Math.abs(countLabels(map)[1] / (80 * 50) - Math.PI / 4) < 0.01);
});

test("a fill equals a naive flood fill on random maps", () => {
  for (let round = 0; round < 30; round += 1) {
    const map = createLabelMap(17, 13);
    map.data.forEach((_, i) => (map.data[i] = ((i * 7919 + round * 104729) % 101) % 2));
    const at = { x: (round * 5) % 17, y: (round * 3) % 13 };
    const expected = floodNaively(map, at, 9);
    const before = map.data.slice();
    const rect = fill(map, at, 9);
    assert.deepEqual(map.data, expected);
    map.data.forEach((label, i) => {
      const [x, y] = [i % 17, Math.floor(i / 17)];
      const inside = x >= rect.x && y >= rect.y && x < rect.x + rect.width && y < rect.y + rect.height;
      assert.ok(inside || label === before[i], "a change outside the rectangle that was answered");
    });
  }
});

/**
 * @param {import("../../service/studio/label_map.js").LabelMap} map
 * @param {{x: number, y: number}} at
 * @param {number} label
 */
function floodNaively({ width, height, data }, at, label) {
  const out = data.slice();
  const old = out[at.y * width + at.x];
  const stack = [[at.x, at.y]];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const [x, y] = next;
    if (x < 0 || y < 0 || x >= width || y >= height || out[y * width + x] !== old) continue;
    out[y * width + x] = label;
    stack.push([x + 1, y], [x - 1, y], [x, y + 1], [x, y - 1]);
  }
  return out;
}

test("a mirrored stroke of every tool leaves a symmetric map", () => {
  for (const tool of /** @type {const} */ (["brush", "line", "rectangle", "ellipse", "fill"])) {
    const map = createLabelMap(40, 20);
    const brush = { tool, label: 3, base: 0, size: 5, mirror: true };
    const stroke = new Stroke(map, brush, { x: 3.3, y: 4.7 });
    stroke.move({ x: 13.2, y: 11.1 });
    assert.ok(countLabels(map)[3] > 0, tool);
    for (const row of rows(map)) assert.equal([...row].reverse().join(""), row, tool);
  }
});

test("a shape follows the pointer and leaves only its last place", () => {
  const map = createLabelMap(20, 20);
  const stroke = new Stroke(map, { tool: "rectangle", label: 1, base: 0, size: 1, mirror: false }, { x: 2, y: 2 });
  stroke.move({ x: 18, y: 18 });
  const repaint = stroke.move({ x: 4, y: 3 });
  assert.equal(countLabels(map)[1], 3 * 2);
  assert.deepEqual(repaint, { x: 2, y: 2, width: 17, height: 17 }, "the old place is painted again");
});

test("the eraser paints the base label", () => {
  const map = createLabelMap(9, 9, 4);
  new Stroke(map, { tool: "eraser", label: 7, base: 2, size: 3, mirror: false }, { x: 4.5, y: 4.5 });
  assert.equal(map.data[4 * 9 + 4], 2);
  assert.equal(countLabels(map)[7], 0);
});
