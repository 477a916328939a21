import assert from "node:assert/strict";
import { test } from "node:test";
import { paletteOf } from "../../service/studio/colors.js";
import { drawScene, scenesFor } from "../../service/studio/examples.js";
import { countLabels } from "../../service/studio/label_map.js";
import { findLabel, searchLabels, translation, typeDigit } from "../../service/studio/label_names.js";

/** @param {string[]} names */
const labelled = (...names) => names.map((name, id) => ({ id, name }));
const LANDSCAPE = labelled("sky", "clouds", "mountain", "snow", "hill", "tree", "grass", "sand", "sea", "river", "rock", "dirt", "road", "flower");
const FACADES = labelled("background", "facade", "molding", "cornice", "pillar", "window", "door", "sill", "blind", "balcony", "shop", "deco");

test("a label is found by its name, a part of it, or a synonym", () => {
  const labels = labelled("wall-brick", "tree, conifer", "sky-other", "water-other", "mountain");
  assert.equal(findLabel("Tree", labels), 1);
  assert.equal(findLabel("sky", labels), 2);
  assert.equal(findLabel("river", labels), 3);
  assert.equal(findLabel("balcony", labels), null);
});

test("a mask keeps its meaning in another model's labels", () => {
  const table = translation(LANDSCAPE, labelled("road", "water", "sky"), 2);
  assert.equal(table[0], 2);
  assert.equal(table[8], 1);
  assert.equal(table[12], 0);
  assert.equal(table[13], 2, "what has no name there is the base");
});

test("search takes every word in any place, those at the beginning first, and ids", () => {
  const labels = labelled("floor wood", "wood", "door", "wood panel");
  assert.deepEqual(searchLabels(labels, "wood").map(({ id }) => id), [1, 3, 0]);
  assert.deepEqual(searchLabels(labels, " panel WOOD").map(({ id }) => id), [3]);
  assert.deepEqual(searchLabels(labels, "2").map(({ id }) => id), [2]);
  assert.equal(searchLabels(labels, "").length, 4);
});

test("digits typed in a row name one label, and start anew where there is none", () => {
  assert.deepEqual(typeDigit("", "1", LANDSCAPE), { typed: "1", id: 1 });
  assert.deepEqual(typeDigit("1", "2", LANDSCAPE), { typed: "12", id: 12 });
  assert.deepEqual(typeDigit("1", "5", LANDSCAPE), { typed: "5", id: 5 });
  assert.deepEqual(typeDigit("", "9", labelled("a", "b")), { typed: "", id: null });
});

test("every scene of the landscape model has five labels or more, its sky on top", () => {
  const scenes = scenesFor(LANDSCAPE).filter(({ name }) => name !== "Street");
  assert.ok(scenes.length >= 4);
  for (const scene of scenes) {
    const map = drawScene(scene, LANDSCAPE, { width: 64, height: 64 });
    assert.ok(countLabels(map).filter(Boolean).length >= 4, scene.name);
    assert.equal(map.data[0], 0, scene.name);
  }
});

test("a model gets the scenes that it has names for, and bands where it has none for any", () => {
  assert.deepEqual(scenesFor(FACADES).map(({ name }) => name), ["House front"]);
  const odd = labelled("alpha", "beta");
  const [bands] = scenesFor(odd);
  assert.deepEqual(countLabels(drawScene(bands, odd, { width: 4, height: 4 })).slice(0, 2), Uint32Array.of(8, 8));
});

test("labels without a colour get one that differs from their neighbours'", () => {
  const palette = paletteOf([{ id: 1, name: "sky", color: "#0a0b0c" }]);
  assert.deepEqual(palette[1], [10, 11, 12]);
  assert.equal(new Set(palette.slice(2, 40).map(String)).size, 38);
});
