/** Reads the parts of an OpenAPI 3.1 description that the API page shows. Pure: takes the parsed JSON. */

/**
 * @typedef {{ name: string, type: string, required: boolean, description: string }} Field
 * @typedef {{ type: string, schema: string, fields: Field[] }} Body
 * @typedef {{ status: string, types: string[], description: string }} Answer
 * @typedef {{ id: string, tags: string[], method: string, path: string, summary: string, description: string,
 *   parameters: Field[], bodies: Body[], responses: Answer[] }} Operation
 */

const METHODS = ["get", "post", "put", "patch", "delete"];

/** @param {string} reference */
const nameOf = (reference) => reference.split("/").pop() ?? reference;

/**
 * A schema in a word or two.
 *
 * @param {any} schema
 * @returns {string}
 */
export function typeOf(schema) {
  if (!schema) return "any";
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.enum) return schema.enum.map((/** @type {unknown} */ one) => JSON.stringify(one)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const options = schema.oneOf ?? schema.anyOf;
  if (options) return options.map(typeOf).join(" | ");
  if (schema.type === "array") return `${typeOf(schema.items)}[]`;
  const type = Array.isArray(schema.type) ? schema.type.join(" | ") : (schema.type ?? "object");
  const bounds = [schema.minimum, schema.maximum].some((bound) => bound !== undefined)
    ? ` ${schema.minimum ?? ""}…${schema.maximum ?? ""}`
    : "";
  return schema.format === "binary" ? "file" : type + bounds;
}

/**
 * The fields of an object, those of all its parts together, the required ones first.
 *
 * @param {any} api
 * @param {any} schema
 * @returns {Field[]}
 */
export function fieldsOf(api, schema) {
  return allFieldsOf(api, schema).sort((a, b) => Number(b.required) - Number(a.required));
}

/**
 * @param {any} api
 * @param {any} schema
 * @returns {Field[]}
 */
function allFieldsOf(api, schema) {
  if (!schema) return [];
  if (schema.$ref) return allFieldsOf(api, api.components.schemas[nameOf(schema.$ref)]);
  if (schema.allOf) return schema.allOf.flatMap((/** @type {any} */ part) => allFieldsOf(api, part));
  return Object.entries(schema.properties ?? {}).map(([name, field]) => ({
    name,
    type: typeOf(field),
    required: (schema.required ?? []).includes(name),
    description: describe(field),
  }));
}

/**
 * What a field means: its own words, or those of the one schema that it stands for.
 *
 * @param {any} field
 * @returns {string}
 */
function describe(field) {
  const own = field.description ?? field.oneOf?.find((/** @type {any} */ one) => one.description)?.description ?? "";
  const fallback = field.default === undefined || field.default === null ? "" : ` Default ${JSON.stringify(field.default)}.`;
  return own + fallback;
}

/**
 * Every operation, in the description's order.
 *
 * @param {any} api
 * @returns {Operation[]}
 */
export function operationsOf(api) {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => operation(api, path, method, item[method])),
  );
}

/**
 * @param {any} api
 * @param {string} path
 * @param {string} method
 * @param {any} raw
 * @returns {Operation}
 */
function operation(api, path, method, raw) {
  const parameter = (/** @type {any} */ one) => ({
    name: one.name,
    type: typeOf(one.schema),
    required: Boolean(one.required),
    description: one.description ?? "",
  });
  // A form first: it is what most people send.
  const rank = (/** @type {string} */ type) => (type.startsWith("multipart/") ? 0 : 1);
  const contents = Object.entries(raw.requestBody?.content ?? {}).sort(([a], [b]) => rank(a) - rank(b));
  return {
    id: `${method}-${path.replace(/[^a-z]+/gi, "-").replace(/^-|-$/g, "")}`,
    tags: raw.tags ?? [],
    method: method.toUpperCase(),
    path,
    summary: raw.summary ?? "",
    description: raw.description ?? "",
    parameters: (raw.parameters ?? []).map(parameter),
    bodies: contents.map(([type, { schema }]) => ({ type, schema: describeBody(type, schema), fields: fieldsOf(api, schema) })),
    responses: Object.entries(raw.responses ?? {}).map(([status, answer]) => ({
      status,
      types: Object.keys(answer.content ?? {}),
      description: answer.description ?? "",
    })),
  };
}

/**
 * @param {string} type
 * @param {any} schema
 */
function describeBody(type, schema) {
  return type.startsWith("image/") ? "the file itself; options in the query" : typeOf(schema);
}
