/**
 * Masks to start from, drawn here. A scene is layers from back to front, in names that most label sets know;
 * a model that has no name for what a scene needs is not offered that scene.
 *
 * @typedef {import("./label_map.js").Label} Label
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 * @typedef {(x: number, y: number) => boolean} Area  of a picture of width and height 1, y down
 * @typedef {{label: string, area: Area, optional?: boolean}} Layer
 * @typedef {{name: string, layers: Layer[]}} Scene
 */
import { createLabelMap } from "./label_map.js";
import { findLabel } from "./label_names.js";
import { SCENES } from "./scenes.js";

/**
 * The scenes that a model has names for, or bands of its first labels where it has none for any.
 *
 * @param {Label[]} labels
 * @returns {Scene[]}
 */
export function scenesFor(labels) {
  const known = SCENES.filter(({ layers }) => layers.every(({ label, optional }) => optional || findLabel(label, labels) !== null));
  return known.length > 0 ? known : [bands(labels)];
}

/**
 * @param {Scene} scene
 * @param {Label[]} labels
 * @param {{width: number, height: number}} size
 * @returns {LabelMap}
 */
export function drawScene(scene, labels, { width, height }) {
  const map = createLabelMap(width, height, labels[0]?.id ?? 0);
  for (const layer of scene.layers) {
    const id = findLabel(layer.label, labels);
    if (id === null) continue;
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        if (layer.area((x + 0.5) / width, (y + 0.5) / height)) map.data[y * width + x] = id;
      }
    }
  }
  return map;
}

/**
 * @param {Label[]} labels
 * @returns {Scene}
 */
function bands(labels) {
  const first = labels.slice(0, 4);
  const layers = first.map(({ name }, i) => ({ label: name, area: (/** @type {number} */ _x, /** @type {number} */ y) => y >= i / first.length }));
  return { name: "Bands", layers };
}
