import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { fieldsOf, operationsOf, typeOf } from "../../service/studio/openapi.js";

const api = JSON.parse(readFileSync(new URL("../../openapi/openapi.json", import.meta.url), "utf8"));

test("every path of the committed description is an operation with answers", () => {
  const operations = operationsOf(api);
  const paths = operations.map(({ method, path }) => `${method} ${path}`);
  assert.ok(paths.includes("POST /synthesize") && paths.includes("GET /models/{name}"), paths.join());
  assert.equal(new Set(operations.map(({ id }) => id)).size, operations.length);
  for (const { path, summary, responses } of operations) {
    assert.ok(summary && responses.length > 0, path);
  }
});

test("the form has its files and every option", () => {
  const names = fieldsOf(api, api.components.schemas.SynthesisForm).map(({ name }) => name);
  for (const name of ["mask", "style", "instances", "seed", "count"]) assert.ok(names.includes(name), name);
});

test("types read as people write them", () => {
  assert.equal(typeOf({ type: "array", items: { $ref: "#/a/Picture" } }), "Picture[]");
  assert.equal(typeOf({ type: "string", format: "binary" }), "file");
  assert.equal(typeOf({ type: "integer", minimum: 1, maximum: 8 }), "integer 1…8");
});
