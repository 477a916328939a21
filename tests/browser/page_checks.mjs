/**
 * What a page must have for those who do not see it, or use no pointer. Runs inside the page; answers what is wrong.
 *
 * @returns {string[]}
 */
export function accessibilityMistakes() {
  const mistakes = /** @type {string[]} */ ([]);
  const shown = (/** @type {Element} */ element) => element.checkVisibility({ checkVisibilityCSS: true });
  const what = (/** @type {Element} */ element) => `<${element.tagName.toLowerCase()} id="${element.id}" class="${element.className}">`;

  for (const control of document.querySelectorAll("button, input, select, a[href], [role=application]")) {
    if (!shown(control)) continue;
    const labelledBy = (control.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent ?? "");
    const labels = control instanceof HTMLInputElement || control instanceof HTMLSelectElement ? [...(control.labels ?? [])].map((label) => label.textContent ?? "") : [];
    const alt = [...control.querySelectorAll("img[alt]")].map((image) => image.getAttribute("alt") ?? "");
    const names = [control.getAttribute("aria-label") ?? "", control.getAttribute("title") ?? "", control.textContent ?? "", ...labelledBy, ...labels, ...alt];
    if (!names.some((name) => name.trim())) mistakes.push(`${what(control)} has no name`);
    if (control instanceof HTMLElement && control.tabIndex > 0) mistakes.push(`${what(control)} jumps the focus order`);
  }
  for (const image of document.querySelectorAll("img")) {
    if (!image.hasAttribute("alt")) mistakes.push(`${what(image)} has no alt`);
  }
  if (!document.documentElement.lang) mistakes.push("the page has no language");
  if (document.querySelectorAll("h1").length !== 1) mistakes.push("the page has not exactly one h1");
  if (!document.querySelector("main")) mistakes.push("the page has no main");

  const parse = (/** @type {string} */ color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (/** @type {number[]} */ [r, g, b]) => {
    const linear = [r, g, b].map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = (/** @type {Element | null} */ element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent?.trim());
    const style = getComputedStyle(element);
    if (!text || !shown(element) || element.closest("[hidden], .hidden, :disabled") || element.closest(".skip")) continue;
    const [a, b] = [luminance(parse(style.color)), luminance(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) mistakes.push(`${what(element)} has a contrast of ${contrast.toFixed(2)}`);
  }
  return mistakes;
}
