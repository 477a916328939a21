/** The API page: /openapi.json as tables. Knows the parts of OpenAPI that this server writes. */
import { element, make } from "./dom.js";
import { fieldsOf, operationsOf, typeOf } from "./openapi.js";

/** @import { Field, Operation } from "./openapi.js" */

/**
 * @param {string} caption
 * @param {string[]} heads
 * @param {(Node | string)[][]} rows
 */
function table(caption, heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))));
  const made = make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
}

/** @param {string} text */
const code = (text) => make("code", {}, text);

/**
 * A sentence, with what stands between backticks as code.
 *
 * @param {string} sentence
 */
const prose = (sentence) => make("span", {}, ...sentence.split("`").map((part, i) => (i % 2 ? code(part) : part)));

/**
 * @param {string} caption
 * @param {Field[]} fields
 */
function fieldTable(caption, fields) {
  const rows = fields.map(({ name, type, required, description }) => [
    code(name),
    code(type),
    required ? "yes" : "",
    prose(description),
  ]);
  return table(caption, ["Name", "Type", "Required", "Meaning"], rows);
}

/** @param {Operation} operation */
function panel(operation) {
  const { id, method, path, summary, description, parameters, bodies, responses } = operation;
  const title = make("h3", { class: "row" }, make("span", { class: "method" }, method), make("span", { class: "path" }, path));
  const made = make("section", { class: "panel", id }, title, make("p", {}, make("strong", {}, summary)));
  if (description) made.append(make("p", {}, prose(description)));
  if (parameters.length) made.append(fieldTable("Parameters", parameters));
  for (const { type, fields, schema } of bodies) {
    made.append(fields.length ? fieldTable(`Body: ${type}`, fields) : make("p", {}, "Body: ", code(type), ` ${schema}`));
  }
  const rows = responses.map(({ status, types, description: what }) => [code(status), types.join(", "), prose(what)]);
  made.append(table("Answers", ["Status", "Type", "Meaning"], rows));
  return made;
}

/** @param {any} api */
function show(api) {
  element("title").textContent = `${api.info.title} API ${api.info.version}`;
  element("summary").textContent = api.info.description;
  element("example").textContent =
    `curl -F mask=@mask.png -F seed=7 ${location.origin}/synthesize -o picture.png`;
  const contents = element("contents");
  const operations = operationsOf(api);
  for (const tag of api.tags) {
    contents.append(make("h2", { title: tag.description }, `${tag.name[0].toUpperCase()}${tag.name.slice(1)}`));
    for (const operation of operations.filter(({ tags }) => tags.includes(tag.name))) {
      contents.append(make("a", { href: `#${operation.id}` }, `${operation.method} ${operation.path}`));
      element("operations").append(panel(operation));
    }
  }
  contents.append(make("h2", {}, "Schemas"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const fields = fieldsOf(api, schema);
    const made = make("section", { class: "panel", id: `schema-${name}` }, make("h3", {}, name));
    if (schema.description) made.append(make("p", {}, prose(schema.description)));
    made.append(fields.length ? fieldTable("Fields", fields) : make("p", {}, code(typeOf(schema))));
    contents.append(make("a", { href: `#schema-${name}` }, name));
    element("schemas").append(made);
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`status ${response.status}`);
  show(await response.json());
} catch (error) {
  element("summary").textContent = `The description could not be read (${error}); load the page again.`;
}
