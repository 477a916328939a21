/**
 * The session in this browser's IndexedDB: what was painted for each model, and the look. A browser that keeps nothing
 * (a private window) loses nothing but this.
 *
 * @typedef {import("./label_map.js").LabelMap} LabelMap
 * @typedef {import("./look.js").Look} Look
 * @typedef {object} Session
 * @property {string} model
 * @property {Record<string, {map: LabelMap, base: number}>} masks  by model
 * @property {Look} look
 * @property {{tool: import("./tools.js").Tool, size: number, mirror: boolean}} brush
 */
const [STORE, KEY] = ["session", "now"];

/** @returns {Promise<IDBDatabase>} */
function open() {
  const request = indexedDB.open("spadework-studio", 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return done(request);
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @returns {Promise<Partial<Session>>} */
export async function loadSession() {
  try {
    const database = await open();
    return (await done(database.transaction(STORE).objectStore(STORE).get(KEY))) ?? {};
  } catch {
    return {};
  }
}

/** @param {Session} session */
export async function saveSession(session) {
  try {
    const database = await open();
    await done(database.transaction(STORE, "readwrite").objectStore(STORE).put(session, KEY));
    database.close();
  } catch {
    // See above: nothing else depends on it.
  }
}
