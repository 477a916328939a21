/** Light, dark, or as the system: a button on every page, remembered in this browser. */
import { button, element } from "./dom.js";

const NAMES = { auto: "as the system", light: "light", dark: "dark" };
const ORDER = /** @type {(keyof typeof NAMES)[]} */ (Object.keys(NAMES));

/** @param {keyof typeof NAMES} theme */
function show(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  element("theme-name").textContent = NAMES[theme];
  button("theme").title = `Theme: ${NAMES[theme]}`;
}

/** A browser that is told to keep nothing throws here. */
function remembered() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
}

/** @param {string} name */
function remember(name) {
  try {
    localStorage.setItem("theme", name);
  } catch {
    // It holds for this visit.
  }
}

let theme = ORDER.find((name) => name === remembered()) ?? "auto";
show(theme);
button("theme").addEventListener("click", () => {
  theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
  remember(theme);
  show(theme);
});
