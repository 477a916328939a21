/** The present request as code to copy. */
import { byId, button, choice, element, onChoice } from "./dom.js";
import { LANGUAGES } from "./snippets.js";

/** @typedef {import("./snippets.js").Sample} Sample */

/**
 * @param {() => Sample} sample
 * @param {() => void} saveMask
 */
export function listenToCode(sample, saveMask) {
  const dialog = byId("code-dialog", HTMLDialogElement);
  const group = element("languages");
  const text = element("code-text");
  const write = (/** @type {string} */ name) => {
    element("copied").textContent = "";
    text.textContent = (LANGUAGES.find((language) => language.name === name) ?? LANGUAGES[0]).write(sample());
  };
  group.append(...LANGUAGES.map(({ name }, i) => choice({ group: "language", value: name, checked: i === 0 }, name)));
  onChoice(group, write);
  button("code").addEventListener("click", () => {
    write(group.querySelector("input:checked")?.getAttribute("value") ?? "");
    dialog.showModal();
  });
  button("copy").addEventListener("click", () => copy(text));
  button("code-mask").addEventListener("click", saveMask);
}

/**
 * The clipboard is only there on secure origins; elsewhere the text is selected for the person's own copy.
 *
 * @param {HTMLElement} text
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text.textContent ?? "");
    element("copied").textContent = "Copied.";
  } catch {
    getSelection()?.selectAllChildren(text);
    element("copied").textContent = "Selected; press Ctrl+C.";
  }
}
