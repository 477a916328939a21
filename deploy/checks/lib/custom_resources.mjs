// Custom resources against the schemas of their definitions, without a cluster: custom_resources.mjs PACKAGES FILE...
// PACKAGES is the folder that package.json was installed in. The schemas let unknown fields pass, as a cluster without
// strict validation does; the TypeScript compiler does not, so each resource is also compiled as a literal of its type.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, ...files] = process.argv.slice(2);
const packages = path.resolve(folder, "node_modules");
const SOURCES = {
  "keda.sh": "@kubernetes-models/keda/keda.sh",
  "monitoring.coreos.com": "@kubernetes-models/prometheus-operator/monitoring.coreos.com",
};
const load = (file) => import(pathToFileURL(path.join(packages, file)));
const yaml = (await load("yaml/dist/index.js")).default;

async function model(group, version, kind) {
  const module = `${SOURCES[group]}/${version}/${kind}`;
  const extension = [".mjs", ".js"].find((ending) => fs.existsSync(path.join(packages, module + ending)));
  if (!extension) throw new Error(`there is no schema for ${kind} ${group}/${version}`);
  return (await load(module + extension))[kind];
}

const resources = files.flatMap((file) =>
  yaml.parseAllDocuments(fs.readFileSync(file, "utf8")).map((document) => document.toJSON()),
);
const literals = [];
for (const resource of resources) {
  const [group, version] = (resource?.apiVersion ?? "").split("/");
  if (!(group in SOURCES)) continue;
  const { kind } = resource;
  const Model = await model(group, version, kind);
  new Model(resource).validate();
  literals.push(`import type { I${kind} as T${literals.length} } from "${SOURCES[group]}/${version}/${kind}";
export const r${literals.length}: T${literals.length} = ${JSON.stringify(resource, null, 1)};`);
  console.log(`${kind} ${resource.metadata.name}`);
}
if (literals.length === 0) throw new Error("there is no custom resource in the files");

fs.writeFileSync(path.join(folder, "resources.ts"), literals.join("\n"));
const options = "--noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler --target es2022 --types --ignoreConfig";
execFileSync(process.execPath, ["node_modules/typescript/lib/tsc.js", ...options.split(" "), "resources.ts"], {
  cwd: folder,
  stdio: "inherit",
});
