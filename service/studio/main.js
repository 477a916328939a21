/** Starts the studio and connects the page's controls to it. */
import "./theme.js";
import { Api, ApiError, fieldsOf } from "./api.js";
import { listenToCode } from "./code_dialog.js";
import { button, choice, choose, download, element, icon, input, make, onChoice, onDrop, select } from "./dom.js";
import { createLabelMap } from "./label_map.js";
import { KEYS, KeyboardBrush, listenToShortcuts } from "./keyboard.js";
import { retryDelay } from "./live.js";
import { wishOf } from "./look.js";
import { listenToPointers } from "./pointer.js";
import { loadSession, saveSession } from "./session.js";
import { Studio } from "./studio.js";
import { TOOLS } from "./tools.js";

const api = new Api(fetch.bind(window));
const studio = new Studio(api, keepSession);
const { brush, canvas, look, painter } = studio;

/** @param {import("./tools.js").Tool} tool */
function useTool(tool) {
  brush.tool = tool;
  choose(element("tools"), tool);
}

/** @param {number} size */
function useSize(size) {
  brush.size = Math.min(128, Math.max(1, size));
  input("size").value = String(brush.size);
  element("size-text").textContent = String(brush.size);
}

/** @param {boolean} mirror */
function useMirror(mirror) {
  brush.mirror = mirror;
  input("mirror").checked = mirror;
  canvas.showAxis(mirror);
}

function listenToTools() {
  element("tools").append(
    ...TOOLS.map(({ tool, name, key, hint }, i) =>
      choice({ group: "tool", value: tool, checked: i === 0, title: `${name} (${key.toUpperCase()}): ${hint}` }, icon(tool), make("span", { class: "hidden" }, name)),
    ),
  );
  onChoice(element("tools"), (tool) => useTool(/** @type {import("./tools.js").Tool} */ (tool)));
  input("size").addEventListener("input", () => useSize(Number(input("size").value)));
  input("mirror").addEventListener("change", () => useMirror(input("mirror").checked));
  button("undo").addEventListener("click", () => painter.undo());
  button("redo").addEventListener("click", () => painter.redo());
  button("zoom-in").addEventListener("click", () => canvas.zoom(1.5));
  button("zoom-out").addEventListener("click", () => canvas.zoom(1 / 1.5));
  button("zoom-fit").addEventListener("click", () => canvas.fit());
  button("set-base").addEventListener("click", () => studio.setBase(brush.label));
  canvas.onZoom = (percent) => (element("zoom-text").textContent = `${percent}%`);
}

function listenToFiles() {
  button("clear").addEventListener("click", () => studio.begin(createLabelMap(painter.map.width, painter.map.height, brush.base)));
  select("example").addEventListener("change", () => {
    studio.begin(studio.scene(Number(select("example").value)));
    select("example").value = "";
  });
  button("import").addEventListener("click", () => input("mask-file").click());
  input("mask-file").addEventListener("change", () => {
    const [file] = input("mask-file").files ?? [];
    if (file) void studio.importMask(file);
    input("mask-file").value = "";
  });
  onDrop(element("frame"), (file) => void studio.importMask(file));
  button("save-mask").addEventListener("click", () => void saveMask());
  button("save-picture").addEventListener("click", () => {
    if (studio.picture.blob) download(studio.picture.blob, `${studio.model?.name}-${look.seed}.png`);
  });
  listenToCode(sample, () => void saveMask());
}

async function saveMask() {
  download(await studio.maskFile(), "mask.png");
}

/** @returns {import("./snippets.js").Sample} */
function sample() {
  const model = /** @type {import("./api.js").Model} */ (studio.model);
  const wish = wishOf(look, model);
  return { origin: location.origin, fields: fieldsOf(wish), style: Boolean(wish.style), key: api.key !== null };
}

function listenToKeys() {
  const tools = TOOLS.map(({ tool, key }) => [key, () => useTool(tool)]);
  listenToShortcuts(
    {
      ...Object.fromEntries(tools),
      "ctrl+z": () => painter.undo(),
      "ctrl+shift+z": () => painter.redo(),
      "ctrl+y": () => painter.redo(),
      "[": () => useSize(brush.size - Math.max(1, Math.round(brush.size / 8))),
      "]": () => useSize(brush.size + Math.max(1, Math.round(brush.size / 8))),
      "+": () => canvas.zoom(1.5),
      "=": () => canvas.zoom(1.5),
      "-": () => canvas.zoom(1 / 1.5),
      "alt+0": () => canvas.fit(),
      "/": () => input("search").focus(),
      m: () => useMirror(!brush.mirror),
      d: () => studio.lookView.reroll(),
      escape: () => painter.cancel(),
    },
    (digit) => studio.palette.digit(digit),
  );
  element("keys").append(...KEYS.flatMap(({ keys, does }) => [make("dt", {}, ...keys.split(" ").map((key) => make("kbd", {}, key))), make("dd", {}, does)]));
  new KeyboardBrush(canvas, painter, (text) => (element("announce").textContent = text), (label) => studio.palette.nameOf(label));
}

/** @param {string} name */
async function useModel(name) {
  studio.open(await api.model(name));
  const { model } = studio;
  select("model").value = name;
  element("description").textContent = model?.description || `${model?.width}×${model?.height}, ${model?.label_count} labels.`;
  element("licence").textContent = model?.licence ? `Licence: ${model.licence}` : "Licence: not stated.";
  const scenes = studio.scenes.map((scene, i) => make("option", { value: String(i) }, scene.name));
  select("example").replaceChildren(make("option", { value: "" }, "Example…"), ...scenes);
}

/**
 * @param {() => Promise<void>} action  done again while that may help: until the server answers, or has its key
 */
async function untilAnswered(action) {
  for (let failures = 1; ; failures += 1) {
    try {
      return await action();
    } catch (failure) {
      const error = /** @type {ApiError} */ (failure);
      const wait = retryDelay(error, failures);
      studio.picture.showProblem(error, wait);
      if (wait === null && error.status !== 401) return;
      studio.picture.showState("paused");
      await pause(wait);
    }
  }
}

/**
 * Until the time is over, or someone asks for the next try.
 *
 * @param {number | null} ms
 * @returns {Promise<void>}
 */
function pause(ms) {
  return new Promise((resolve) => {
    studio.onRetry = resolve;
    if (ms !== null) setTimeout(resolve, ms);
  });
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let keeping;

/** Keeps the session once a pause comes. */
function keepSession() {
  clearTimeout(keeping);
  keeping = setTimeout(() => void saveNow(), 400);
  button("undo").disabled = !painter.history.canUndo;
  button("redo").disabled = !painter.history.canRedo;
}

async function saveNow() {
  if (!studio.model) return;
  const { tool, size, mirror } = brush;
  await saveSession({ model: studio.model.name, masks: studio.masks, look: { ...look, a: null, b: null, blending: false }, brush: { tool, size, mirror } });
}

async function start() {
  const session = await loadSession();
  Object.assign(look, session.look);
  studio.masks = session.masks ?? {};
  useTool(session.brush?.tool ?? "brush");
  useSize(session.brush?.size ?? 24);
  useMirror(session.brush?.mirror ?? false);
  await untilAnswered(async () => {
    const models = await api.models();
    select("model").replaceChildren(...models.map(({ name }) => make("option", { value: name }, name)));
    select("model").disabled = models.length < 2;
    const first = models.find(({ name }) => name === session.model) ?? models.find((model) => model.default) ?? models[0];
    await useModel(first.name);
  });
  select("model").addEventListener("change", () => void untilAnswered(() => useModel(select("model").value)));
}

element("studio").hidden = false; // it was hidden so that the first paint need not lay out what does not answer yet
listenToTools();
listenToFiles();
listenToKeys();
listenToPointers(canvas, painter, { usesPressure: () => input("pressure").checked });
document.addEventListener("visibilitychange", () => document.hidden && void saveNow());
void start();
