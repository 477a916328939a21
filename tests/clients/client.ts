/** Makes a picture with nothing but the types that openapi-typescript generates: as JSON, as a form, and as plain PNG. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { paths } from "./api.d.ts";

const [url, file] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: url });
const mask = await readFile(file);
const isPng = (bytes: Buffer) => bytes.subarray(1, 4).toString() === "PNG";

const models = await client.GET("/models");
const name = models.data?.models.find((model) => model.default)?.name;
assert.ok(name, "there is a default model");
const model = await client.GET("/models/{name}", { params: { path: { name } } });
assert.equal(model.data?.name, name);

const json = await client.POST("/synthesize", {
  body: { mask: mask.toString("base64"), model: name, seed: 7 },
  headers: { Accept: "application/json" },
});
assert.ok(json.data && typeof json.data === "object", JSON.stringify(json.error));
const picture = Buffer.from(json.data.pictures[0]?.data ?? "", "base64");
assert.ok(isPng(picture));
assert.equal(json.data.mask.format, "gray_ids");

const form = await client.POST("/synthesize", {
  body: { mask: "", model: name, seed: 7 },
  bodySerializer: (fields) => {
    const form = new FormData();
    for (const [key, value] of Object.entries(fields)) form.set(key, String(value));
    form.set("mask", new Blob([mask]), "mask.png");
    return form;
  },
  parseAs: "arrayBuffer",
});
assert.deepEqual(Buffer.from(form.data as ArrayBuffer), picture, "the same picture");
assert.equal(form.response.headers.get("X-Mask-Format"), "gray_ids");

const refused = await client.POST("/synthesize", {
  body: { mask: mask.toString("base64"), model: "venus" },
  headers: { Accept: "application/json" },
});
assert.match(refused.error?.detail ?? "", /no model `venus`/);
console.log("ok    a generated client makes a picture");
