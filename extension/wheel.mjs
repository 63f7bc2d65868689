// Builds the server's wheel into server-wheel/, from where the VSIX carries it.
//
// Takes the Python in $PYTHON, the checkout's .venv, or python3.

import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const folder = path.join(root, "server-wheel");
const windows = process.platform === "win32";
const own = path.join(root, ".venv", windows ? "Scripts/python.exe" : "bin/python");
const python = process.env.PYTHON ?? (existsSync(own) ? own : windows ? "python" : "python3");

rmSync(folder, { recursive: true, force: true });
const args = ["-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", folder, root];
const { status, error } = spawnSync(python, args, { stdio: "inherit" });
if (error || status !== 0) {
  console.error(
    `The wheel could not be built with ${python}: ${error?.message ?? `exit code ${status}`}`,
  );
  process.exit(1);
}
