import assert from "node:assert/strict";
import { test } from "node:test";
import { Api, fieldsOf, formOf, parseAnswer } from "../../service/studio/api.js";
import { parseSeed, slerp } from "../../service/studio/latent.js";
import { besides, firstLook, wishOf } from "../../service/studio/look.js";
import { LANGUAGES } from "../../service/studio/snippets.js";
import { describeTiming, parseServerTiming } from "../../service/studio/timing.js";

const MODEL = { name: "landscape", width: 256, height: 256, label_count: 14, accepts_style: true, has_latent: true, styles: ["noon", "fog"] };
const MASK = new Blob(["mask"]);

/** @param {number} status @param {object} body @param {Record<string, string>} [headers] */
const answering = (status, body, headers) => new Api(async () => new Response(JSON.stringify(body), { status, headers }));

test("a wish becomes the fields that the API knows, and nothing that was not set", () => {
  assert.deepEqual(fieldsOf(wishOf(firstLook(), MODEL)), [["mask_format", "ids"], ["model", "landscape"], ["seed", "7"]]);
  const styled = { ...firstLook(), preset: "fog", noise: 0.5 };
  assert.deepEqual(fieldsOf(wishOf(styled, MODEL)).slice(3), [["style_preset", "fog"]]);
  const pictured = { ...firstLook(), file: new Blob(["picture"]), noise: 0.5 };
  assert.deepEqual(fieldsOf(wishOf(pictured, MODEL)).slice(3), [["style_noise", "0.5"]]);
});

test("the form carries the mask and the style as files", () => {
  const form = formOf({ ...wishOf({ ...firstLook(), file: new Blob(["jpg"]) }, MODEL), mask: MASK });
  assert.ok(form.get("mask") instanceof Blob && form.get("style") instanceof Blob);
  assert.equal(form.get("style_preset"), null);
});

test("a model without an encoder gets no style, and no preset that it does not have", () => {
  const look = { ...firstLook(), preset: "fog", file: new Blob() };
  assert.deepEqual(wishOf(look, { ...MODEL, accepts_style: false }), { model: "landscape", seed: "7" });
  assert.equal(wishOf({ ...firstLook(), preset: "snowstorm" }, MODEL).stylePreset, null);
});

test("a refusal is the sentence that the API gave, with what it says about another try", async () => {
  const problem = { title: "Unknown labels", detail: "the mask has ids that the model does not: 99 (4 pixels)", request_id: "r1" };
  const wish = { ...wishOf(firstLook(), MODEL), mask: MASK };
  await assert.rejects(answering(422, problem).synthesize(wish), { message: problem.detail, status: 422, requestId: "r1", retryAfter: null });
  await assert.rejects(answering(503, {}, { "Retry-After": "2" }).models(), { message: "The server answered 503.", retryAfter: 2 });
});

test("a server that does not answer is lost, a wish that was called off is not", async () => {
  const dead = new Api(async () => Promise.reject(new TypeError("fetch failed")));
  await assert.rejects(dead.models(), { lost: true });
  const calledOff = AbortSignal.abort();
  await assert.rejects(dead.synthesize({ ...wishOf(firstLook(), MODEL), mask: MASK }, calledOff), TypeError);
});

test("pictures come with seeds of 64 bits and without a latent where the model has none", async () => {
  const text = '{"model":"m","pictures":[{"seed":18446744073709551615,"media_type":"image/png","data":"aGk="}]}';
  const api = new Api(async () => new Response(text, { headers: { "Server-Timing": "queue;dur=1.5" } }));
  const { pictures, timing } = await api.synthesize({ ...wishOf(firstLook(), MODEL), mask: MASK });
  assert.equal(pictures[0].seed, "18446744073709551615");
  assert.equal(await pictures[0].blob.text(), "hi");
  assert.equal(pictures[0].latent, null);
  assert.equal(timing.queue, 1.5);
  assert.equal(parseAnswer('{"seed": 7}').seed, "7");
});

test("a key travels as a bearer token", async () => {
  /** @type {Headers[]} */
  const seen = [];
  const api = new Api(async (_url, init) => {
    seen.push(new Headers(init?.headers));
    return new Response('{"models":[]}');
  });
  api.key = "secret";
  await api.models();
  assert.equal(seen[0].get("Authorization"), "Bearer secret");
});

test("between two latents the length stays and the ends are the ends", () => {
  const [a, b] = [[3, 0, 0], [0, 3, 0]];
  for (const t of [0, 0.25, 0.5, 1]) assert.ok(Math.abs(Math.hypot(...slerp(a, b, t)) - 3) < 1e-9);
  assert.deepEqual(slerp(a, b, 0), a);
  slerp(a, b, 1).forEach((value, i) => assert.ok(Math.abs(value - b[i]) < 1e-9));
  assert.deepEqual(slerp([0, 0], [2, 2], 0.5), [1, 1], "a latent of nothing has no direction");
  assert.deepEqual(slerp([1, 2], [1, 2], 0.3).map((value) => Math.round(value * 1e9) / 1e9), [1, 2]);
});

test("blending sends a latent with A's seed, and steps from A to B stand side by side", () => {
  const look = { ...firstLook(), a: { seed: "5", latent: [1, 0] }, b: { seed: "6", latent: [0, 1] }, t: 1, blending: true, beside: 4 };
  const wish = wishOf(look, MODEL);
  assert.equal(wish.seed, "5");
  assert.ok(Math.abs((wish.latent ?? [])[1] - 1) < 1e-9);
  assert.deepEqual(besides(look).map(({ label }) => label), ["0%", "33%", "67%", "100%"]);
  assert.equal(wishOf(look, { ...MODEL, has_latent: false }).latent, undefined);
});

test("seeds side by side follow one another and wrap at 64 bits", () => {
  const look = { ...firstLook(), seed: "18446744073709551615", beside: 2 };
  assert.deepEqual(besides(look).map(({ seed }) => seed), ["18446744073709551615", "0"]);
});

test("a seed is a whole number of at most 64 bits", () => {
  assert.equal(parseSeed(" 007 "), "7");
  assert.equal(parseSeed("18446744073709551615"), "18446744073709551615");
  for (const text of ["", "-1", "1.5", "18446744073709551616", "seed"]) assert.equal(parseSeed(text), null);
});

test("the status has the server's own times and the whole way", () => {
  const timing = parseServerTiming('decode;dur=0.4, queue;desc="wait";dur=0.2, generate;dur=46.5, cache');
  assert.deepEqual(timing, { decode: 0.4, queue: 0.2, generate: 46.5 });
  assert.equal(describeTiming(timing, 61.2), "queue 0.2 ms · generate 47 ms · total 61 ms");
  assert.equal(describeTiming({}, 1234), "total 1.2 s");
});

test("every snippet has every field, the files that go along, and the key only where one is asked for", () => {
  /** @type {import("../../service/studio/snippets.js").Sample} */
  const sample = { origin: "http://localhost:8080", fields: [["seed", "7"], ["style_preset", "l'heure bleue"]], style: true, key: false };
  for (const { name, write } of LANGUAGES) {
    const code = write(sample);
    for (const part of ["seed", "7", "mask.png", "style.jpg", "http://localhost:8080/synthesize", "heure bleue"]) {
      assert.ok(code.includes(part), `${name}: ${part}\n${code}`);
    }
    assert.ok(!/bearer/i.test(code), name);
    assert.match(write({ ...sample, key: true }), /bearer/i, name);
  }
});
