/** This machine, as `python.ts` and `install.ts` see it. */

import { mkdir, readdir } from "node:fs/promises";
import * as path from "node:path";
import { log } from "./logger";
import { isFile, run } from "./process";
import type { Host } from "./python";
import type { Installer } from "./install";
import { extensionExports, isTrusted, workspaceFolders } from "./vscodeapi";

/** The part of the Python extension's API that is used here. */
interface PythonExtension {
  readonly environments?: {
    getActiveEnvironmentPath(): { readonly path: string };
    resolveEnvironment(
      env: object,
    ): Promise<{ readonly executable: { readonly uri?: { readonly fsPath: string } } } | undefined>;
  };
}

/** The folders of the extension: its own, and its global storage. */
export interface Folders {
  readonly extension: string;
  readonly storage: string;
}

/** Describe the machine; `wheel` is empty when the extension carries none (a development copy). */
export async function machine({ extension, storage }: Folders): Promise<Host & Installer> {
  await mkdir(storage, { recursive: true });
  const wheel = await carriedWheel(path.join(extension, "server-wheel"));
  const trusted = isTrusted();
  const wheelFolder = path.join(storage, "wheels");
  return {
    platform: process.platform,
    path: process.env.PATH ?? process.env.Path ?? "",
    excluded: trusted ? [] : workspaceFolders(),
    venv: path.join(storage, "venv"),
    wheel,
    wheelFolder,
    wheels: await filled([process.env.FALCON_WHEELS ?? "", wheelFolder]),
    carried: path.basename(wheel).split("-")[1] ?? "",
    isFile,
    run: (command, args, options) => run(command, args, { ...options, cwd: storage }),
    // The choice may have been made by the workspace, and may point into it.
    chosenInterpreter: async () => (trusted ? chosenInterpreter() : undefined),
  };
}

/** Those of the folders that hold wheels. */
async function filled(folders: readonly string[]): Promise<string[]> {
  const found = await Promise.all(folders.map(wheelsIn));
  return folders.filter((_, index) => found[index]?.length);
}

async function wheelsIn(folder: string): Promise<string[]> {
  const names = folder === "" ? [] : await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith(".whl")).sort();
}

async function carriedWheel(folder: string): Promise<string> {
  const wheel = (await wheelsIn(folder)).at(-1);
  return wheel === undefined ? "" : path.join(folder, wheel);
}

async function chosenInterpreter(): Promise<string | undefined> {
  try {
    const python = (await extensionExports("ms-python.python")) as PythonExtension | undefined;
    const active = python?.environments?.getActiveEnvironmentPath();
    const found = active && (await python?.environments?.resolveEnvironment(active));
    return found?.executable.uri?.fsPath;
  } catch {
    log().info("The Python extension did not tell its interpreter.");
    return undefined;
  }
}
