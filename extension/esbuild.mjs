// Bundles the extension, or bundles and runs its tests: node extension/esbuild.mjs [--watch | --test]
//
// Tests run without an editor: in their bundles test/fakes/vscodeapi.ts stands in for the module
// that imports VS Code's API, and test/fakes/languageclient.ts for the one that starts a server.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as path from "node:path";
import { build, context } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const flag = process.argv[2];

const common = {
  absWorkingDir: here,
  bundle: true,
  platform: "node",
  target: "node20",
  format: "cjs",
  logLevel: "info",
};

/** Scripts of webviews, bundled on their own and handed over as text. */
const webviews = {
  name: "webviews",
  setup: (bundle) => {
    bundle.onResolve({ filter: /^webview:/ }, ({ path: name }) => ({
      path: path.join(here, "webview", `${name.slice("webview:".length)}.ts`),
      namespace: "webview",
    }));
    bundle.onLoad({ filter: /.*/, namespace: "webview" }, async ({ path: file }) => {
      const options = { bundle: true, minify: true, write: false, target: "es2022" };
      const { outputFiles } = await build({ ...options, entryPoints: [file], format: "iife" });
      return { contents: outputFiles[0].text, loader: "text", watchFiles: [file] };
    });
  },
};

const extension = {
  ...common,
  plugins: [webviews],
  entryPoints: ["src/extension.ts"],
  outfile: "out/extension.js",
  external: ["vscode"],
  minify: flag === undefined,
  metafile: true,
  sourcemap: flag === "--watch",
};

const fakes = {
  name: "fakes",
  setup: (bundle) =>
    bundle.onResolve({ filter: /\/(vscodeapi|languageclient)$/ }, ({ path: name }) => ({
      path: path.join(here, "test", "fakes", `${path.basename(name)}.ts`),
    })),
};

const names = readdirSync(path.join(here, "test")).filter((name) => name.endsWith(".test.ts"));

const tests = {
  ...common,
  entryPoints: names.map((name) => `test/${name}`),
  outdir: "out/test",
  plugins: [fakes, webviews],
  sourcemap: "inline",
  logLevel: "warning",
};

if (flag === "--watch") {
  await (await context(extension)).watch();
} else if (flag === "--test") {
  rmSync(path.join(here, "out", "test"), { recursive: true, force: true });
  await build(tests);
  const files = names.map((name) => path.join(here, "out", "test", name.replace(/ts$/, "js")));
  process.exitCode =
    spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" }).status ?? 1;
} else {
  const { metafile } = await build(extension);
  writeFileSync(path.join(here, "out", "NOTICES.txt"), notices(metafile));
}

/** The licences of the packages in a bundle, which ask to go where the code goes. */
function notices({ inputs }) {
  const packages = Object.keys(inputs).flatMap(
    (file) => file.match(/.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? [],
  );
  const texts = [...new Set(packages)].sort().map((folder) => {
    const { name, version } = JSON.parse(
      readFileSync(path.join(here, folder, "package.json"), "utf-8"),
    );
    const licence = readdirSync(path.join(here, folder)).find((file) => /^licen[cs]e/i.test(file));
    if (licence === undefined) {
      throw new Error(`${name} has no licence file`);
    }
    return `${name} ${version}\n\n${readFileSync(path.join(here, folder, licence), "utf-8").trim()}\n`;
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}
