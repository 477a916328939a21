/** The few things that every view needs from the document. */

/**
 * The element with this id, which must be there and of this kind.
 *
 * @template {Element} T
 * @param {string} id
 * @param {{new (): T}} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no ${kind.name} #${id}`);
  return found;
}

/** @param {string} id */
export const element = (id) => byId(id, HTMLElement);
/** @param {string} id */
export const button = (id) => byId(id, HTMLButtonElement);
/** @param {string} id */
export const input = (id) => byId(id, HTMLInputElement);
/** @param {string} id */
export const select = (id) => byId(id, HTMLSelectElement);

/**
 * A new element; attributes first, then children.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** @param {string} name */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/**
 * One of several: a radio button under whatever stands for it.
 *
 * @param {{group: string, value: string, checked: boolean, title?: string}} given
 * @param {(Node | string)[]} content
 */
export function choice({ group, value, checked, title }, ...content) {
  const radio = make("input", { type: "radio", name: group, value });
  radio.checked = checked;
  return make("label", { class: "choice", ...(title ? { title } : {}) }, radio, ...content);
}

/**
 * Calls back with the value of the radio button that was chosen.
 *
 * @param {HTMLElement} group
 * @param {(value: string) => void} then
 */
export function onChoice(group, then) {
  group.addEventListener("change", ({ target }) => {
    if (target instanceof HTMLInputElement) then(target.value);
  });
}

/**
 * @param {HTMLElement} group
 * @param {string} value
 */
export function choose(group, value) {
  for (const radio of group.querySelectorAll("input")) radio.checked = radio.value === value;
}

/**
 * Hands a file to the person.
 *
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * Files dropped on an element.
 *
 * @param {HTMLElement} target
 * @param {(file: File) => void} then
 */
export function onDrop(target, then) {
  target.addEventListener("dragover", (event) => {
    event.preventDefault();
    target.classList.add("dropping");
  });
  target.addEventListener("dragleave", () => target.classList.remove("dropping"));
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    target.classList.remove("dropping");
    const [file] = event.dataTransfer?.files ?? [];
    if (file) then(file);
  });
}
