/**
 * Labels by name: search, and what a label of one model is called in another.
 *
 * @typedef {import("./label_map.js").Label} Label
 */

/** Names for the same thing in the label sets that people train on. The first of a row that a model has is taken. */
const SYNONYMS = [
  ["sky", "sky-other"],
  ["clouds", "cloud"],
  ["mountain", "mountains", "hill"],
  ["hill", "mountain"],
  ["tree", "trees", "vegetation", "forest"],
  ["grass", "terrain", "field"],
  ["sea", "water", "water-other", "ocean", "lake"],
  ["river", "water", "water-other", "lake", "sea"],
  ["sand", "earth", "ground", "dirt"],
  ["rock", "stone", "rocks"],
  ["dirt", "earth", "ground", "ground-other", "path", "mud"],
  ["road", "path", "street", "pavement"],
  ["snow"],
  ["flower", "plant", "bush"],
  ["building", "house", "building-other", "skyscraper", "wall"],
  ["sidewalk", "pavement", "road"],
  ["car", "bus", "truck"],
  ["person", "pedestrian"],
  ["facade", "background", "wall"],
  ["window", "window-other", "windowpane"],
  ["door", "door-stuff"],
  ["cornice", "molding"],
  ["sill", "window sill"],
  ["balcony"],
  ["shop"],
];

/** @param {string} name */
const normal = (name) => name.trim().toLowerCase().replace(/[_\s]+/g, " ");

/**
 * The id of the label that means `name`: of this name, of a part of its names ("tree, conifer"), or of a synonym's.
 *
 * @param {string} name
 * @param {Label[]} labels
 * @returns {number | null}
 */
export function findLabel(name, labels) {
  const wanted = normal(name);
  const row = SYNONYMS.find(([first]) => first === wanted) ?? [wanted];
  for (const synonym of row) {
    const found = labels.find((label) => partsOf(label.name).includes(synonym));
    if (found) return found.id;
  }
  return null;
}

/** @param {string} name */
function partsOf(name) {
  const whole = normal(name);
  return [whole, ...whole.split(/[,;/]\s*/)];
}

/**
 * A table of 256 ids that carries a mask of one model over to another, by name; what has no name there becomes `base`.
 *
 * @param {Label[]} from
 * @param {Label[]} to
 * @param {number} base
 */
export function translation(from, to, base) {
  const table = new Uint8Array(256).fill(base);
  for (const label of from) table[label.id] = findLabel(label.name, to) ?? base;
  return table;
}

/**
 * Labels whose name has every word of the query in it, those that begin with it first; an id is a query too.
 *
 * @param {Label[]} labels
 * @param {string} query
 */
export function searchLabels(labels, query) {
  const words = normal(query).split(" ").filter(Boolean);
  const [first = ""] = words;
  const found = labels.filter(({ id, name }) => String(id) === first || words.every((word) => normal(name).includes(word)));
  const rank = (/** @type {Label} */ { name }) => (normal(name).startsWith(first) ? 0 : 1);
  return found.sort((a, b) => rank(a) - rank(b) || a.id - b.id);
}

/**
 * Digits typed one after the other name a label's id: `1` is 1 at once, and 12 when `2` follows in time.
 *
 * @param {string} typed  digits so far, still in time
 * @param {string} digit
 * @param {Label[]} labels
 * @returns {{typed: string, id: number | null}}
 */
export function typeDigit(typed, digit, labels) {
  for (const text of [typed + digit, digit]) {
    const id = Number(text);
    if (labels.some((label) => label.id === id)) return { typed: text, id };
  }
  return { typed: "", id: null };
}
