// Refuses a package that has grown too large: node extension/limits.mjs
//
// Our own code stays small beside the server's wheel, and the whole can be downloaded anywhere.

import { readFileSync, statSync } from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { name, version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf-8"));
const limits = { "extension/out/extension.js": 1, [`${name}-${version}.vsix`]: 90 };

for (const [file, most] of Object.entries(limits)) {
  const size = statSync(path.join(root, file)).size / 1e6;
  if (size > most) {
    console.error(`${file} has ${size.toFixed(1)} MB, ${most} MB are allowed.`);
    process.exitCode = 1;
  }
}
