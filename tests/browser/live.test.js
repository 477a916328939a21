import assert from "node:assert/strict";
import { test } from "node:test";
import { Live, decide, retryDelay } from "../../service/studio/live.js";

/** A server whose answers the test gives, and a clock that it turns. */
function workbench() {
  /** @type {{signal: AbortSignal, answer: (text: string) => void, refuse: (failure: any) => void}[]} */
  const sent = [];
  /** @type {string[]} */
  const shown = [];
  /** @type {any[]} */
  const failures = [];
  const clock = { now: 0, timer: /** @type {null | (() => void)} */ (null), delay: 0 };
  /** @type {Live<string>} */
  const live = new Live({
    send: (signal) =>
      new Promise((resolve, reject) => {
        sent.push({ signal, answer: resolve, refuse: reject });
        signal.addEventListener("abort", () => reject(new Error("aborted")));
      }),
    onResult: (text) => shown.push(text),
    onFailure: (failure, retryIn) => failures.push({ failure, retryIn }),
    now: () => clock.now,
    later: (ms, then) => {
      Object.assign(clock, { timer: then, delay: ms });
      return () => (clock.timer = null);
    },
  });
  return { live, sent, shown, failures, clock };
}

/** Lets every promise that can go on go on. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("many wishes while one is in flight become one request", async () => {
  const { live, sent, shown } = workbench();
  for (let i = 0; i < 10; i += 1) live.request();
  assert.equal(sent.length, 1);
  sent[0].answer("first");
  await settled();
  assert.equal(sent.length, 2);
  sent[1].answer("last");
  await settled();
  assert.equal(sent.length, 2);
  assert.deepEqual(shown, ["first", "last"]);
});

test("a slow request in flight is given up for a finished stroke, a fast one is not", () => {
  assert.equal(decide({ elapsed: 10 }, 2000, true), "replace");
  assert.equal(decide({ elapsed: 1900 }, 2000, true), "wait");
  assert.equal(decide({ elapsed: 10 }, 60, true), "wait");
  assert.equal(decide(null, 2000, true), "start");
});

test("an unfinished stroke asks for pictures only where they come quickly", () => {
  assert.equal(decide(null, 60, false), "start");
  assert.equal(decide(null, 2000, false), "skip");
});

test("the answer to a request that was given up is never shown", async () => {
  const { live, sent, shown } = workbench();
  live.typical = 2000;
  live.request();
  live.request();
  await settled();
  assert.ok(sent[0].signal.aborted);
  sent[0].answer("old");
  sent[1].answer("new");
  await settled();
  assert.deepEqual(shown, ["new"]);
});

test("a lost server is tried again after growing pauses, with one request", async () => {
  const { live, sent, shown, failures, clock } = workbench();
  live.request();
  sent[0].refuse({ lost: true });
  await settled();
  assert.equal(clock.delay, 500);
  for (let i = 0; i < 5; i += 1) live.request();
  assert.equal(sent.length, 1, "nothing is sent during the pause");
  clock.timer?.();
  sent[1].refuse({ lost: true });
  await settled();
  assert.equal(clock.delay, 1000);
  clock.timer?.();
  sent[2].answer("back");
  await settled();
  assert.deepEqual(shown, ["back"]);
  assert.equal(failures.length, 2);
});

test("the server's Retry-After is kept, a refusal for good is not tried again", () => {
  assert.equal(retryDelay({ status: 429, retryAfter: 3 }, 1), 3000);
  assert.equal(retryDelay({ status: 503 }, 5), 8000);
  assert.equal(retryDelay({ status: 422 }, 1), null);
  assert.equal(retryDelay({ status: 401 }, 1), null);
});

test("work for idle times makes way for a wish and is done again after it", async () => {
  const { live, sent } = workbench();
  let begun = 0;
  /** @type {() => void} */
  let finish = () => {};
  live.whenIdle("strip", [
    (signal) =>
      new Promise((resolve, reject) => {
        begun += 1;
        finish = resolve;
        signal.addEventListener("abort", () => reject(new Error("aborted")));
      }),
  ]);
  assert.equal(begun, 1);
  live.request();
  await settled();
  assert.equal(sent.length, 1);
  sent[0].answer("picture");
  await settled();
  assert.equal(begun, 2);
  finish();
  await settled();
  assert.equal(live.running, null);
  assert.equal(live.background.length, 0);
});

test("work of a group replaces what the group had left", async () => {
  const { live } = workbench();
  /** @type {string[]} */
  const ran = [];
  /** @type {import("../../service/studio/live.js").Job} */
  const hang = (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
  live.whenIdle("strip", [hang, async () => void ran.push("old")]);
  live.whenIdle("strip", [async () => void ran.push("new")]);
  await settled();
  assert.deepEqual(ran, ["new"]);
  assert.equal(live.background.length, 0);
});
