/**
 * Pointers on the frame: mouse, pen and one finger paint; two fingers, the middle button or a held space bar move and zoom.
 *
 * @typedef {import("./canvas_view.js").CanvasView} CanvasView
 * @typedef {import("./painter.js").Painter} Painter
 */

/**
 * @param {CanvasView} view
 * @param {Painter} painter
 * @param {{usesPressure: () => boolean}} settings
 */
export function listenToPointers(view, painter, settings) {
  const { frame } = view;
  /** @type {Map<number, {x: number, y: number}>} */
  const down = new Map();
  let moving = false;
  let space = false;

  const pressureOf = (/** @type {PointerEvent} */ event) =>
    event.pointerType === "pen" && settings.usesPressure() && event.pressure > 0 ? 2 * event.pressure : 1;

  frame.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    event.preventDefault();
    view.canvas.focus({ preventScroll: true });
    frame.setPointerCapture(event.pointerId);
    down.set(event.pointerId, view.framePoint(event));
    moving = down.size > 1 || event.button === 1 || space;
    if (moving) painter.cancel();
    else painter.press(view.pointOf(event), pressureOf(event));
  });

  frame.addEventListener("pointermove", (event) => {
    view.showCursor(event.pointerType === "touch" ? null : view.pointOf(event), painter.brush.size);
    const last = down.get(event.pointerId);
    if (!last) return;
    if (moving) {
      gesture(view, down, event);
      return;
    }
    // A fast pen reports several places in one event.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length > 0 ? events : [event]) painter.move(view.pointOf(each), pressureOf(event));
  });

  const up = (/** @type {PointerEvent} */ event) => {
    if (!down.delete(event.pointerId) || down.size > 0) return;
    if (event.type === "pointercancel") painter.cancel();
    else if (!moving) painter.release();
    moving = false;
  };
  frame.addEventListener("pointerup", up);
  frame.addEventListener("pointercancel", up);
  frame.addEventListener("pointerleave", () => view.showCursor(null, 0));
  frame.addEventListener("contextmenu", (event) => event.preventDefault());
  frame.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey || !event.shiftKey) view.zoom(Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), view.framePoint(event));
      else view.pan(-event.deltaX - event.deltaY, 0);
    },
    { passive: false },
  );
  frame.addEventListener("keydown", (event) => {
    if (event.code !== "Space") return;
    event.preventDefault(); // the page would scroll
    space = true;
  });
  window.addEventListener("keyup", (event) => (space &&= event.code !== "Space"));
  window.addEventListener("blur", () => (space = false));
}

/**
 * The middle of the fingers moves the map, their distance zooms it.
 *
 * @param {CanvasView} view
 * @param {Map<number, {x: number, y: number}>} down
 * @param {PointerEvent} event
 */
function gesture(view, down, event) {
  const before = spread(down);
  down.set(event.pointerId, view.framePoint(event));
  const after = spread(down);
  view.pan(after.x - before.x, after.y - before.y);
  if (before.distance > 0) view.zoom(after.distance / before.distance, after);
}

/** @param {Map<number, {x: number, y: number}>} down */
function spread(down) {
  const [a, b = a] = [...down.values()];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, distance: Math.hypot(a.x - b.x, a.y - b.y) };
}
