/**
 * The present request as code to take away. Pure.
 *
 * @typedef {object} Sample
 * @property {string} origin
 * @property {[string, string][]} fields
 * @property {boolean} style  whether a style file goes along
 * @property {boolean} key  whether the server asks for a key
 */

/** @type {{name: string, write: (sample: Sample) => string}[]} */
export const LANGUAGES = [
  { name: "curl", write: curl },
  { name: "Python", write: python },
  { name: "JavaScript", write: javascript },
];

/** @param {Sample} sample */
function curl({ origin, fields, style, key }) {
  const lines = [
    "curl --fail-with-body",
    ...(key ? ['-H "Authorization: Bearer $SPADEWORK_KEY"'] : []),
    "-F mask=@mask.png",
    ...(style ? ["-F style=@style.jpg"] : []),
    ...fields.map(([name, value]) => `-F ${quoted(`${name}=${value}`)}`),
    `-o picture.png ${quoted(`${origin}/synthesize`)}`,
  ];
  return lines.join(" \\\n  ");
}

/**
 * For a POSIX shell.
 *
 * @param {string} text
 */
function quoted(text) {
  return /^[\w=:/.,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** @param {Sample} sample */
function python({ origin, fields, style, key }) {
  return `import requests

answer = requests.post(
    ${JSON.stringify(`${origin}/synthesize`)},
${key ? '    headers={"Authorization": "Bearer " + key},\n' : ""}    files={
        "mask": open("mask.png", "rb"),
${style ? '        "style": open("style.jpg", "rb"),\n' : ""}    },
    data={
${fields.map(([name, value]) => `        ${JSON.stringify(name)}: ${JSON.stringify(value)},`).join("\n")}
    },
)
if not answer.ok:
    raise SystemExit(answer.json()["detail"])
open("picture.png", "wb").write(answer.content)
`;
}

/** @param {Sample} sample */
function javascript({ origin, fields, style, key }) {
  return `import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";

const form = new FormData();
form.set("mask", await openAsBlob("mask.png"), "mask.png");
${style ? 'form.set("style", await openAsBlob("style.jpg"), "style.jpg");\n' : ""}${fields
    .map(([name, value]) => `form.set(${JSON.stringify(name)}, ${JSON.stringify(value)});`)
    .join("\n")}

const answer = await fetch(${JSON.stringify(`${origin}/synthesize`)}, {
  method: "POST",
${key ? "  headers: { Authorization: `Bearer ${process.env.SPADEWORK_KEY}` },\n" : ""}  body: form,
});
if (!answer.ok) throw new Error((await answer.json()).detail);
await writeFile("picture.png", Buffer.from(await answer.arrayBuffer()));
`;
}
