/** An environment of the extension's own, with the server that it carries. */

import { rm } from "node:fs/promises";
import { ownPython, type Host } from "./python";

/** What installing needs of the machine. */
export interface Installer extends Pick<Host, "venv" | "platform" | "isFile" | "run"> {
  /** The wheel that the extension carries; empty when it carries none. */
  readonly wheel: string;
}

/** What the user should know before agreeing. */
export const INSTALL_DETAIL =
  "The server goes into a Python environment of its own, below this editor's storage. PyTorch " +
  "comes with it: a few hundred megabytes on macOS and Windows; on Linux the default build " +
  "carries CUDA and takes several gigabytes. To use PyTorch's CPU build there, point pip at it " +
  "first (docs/editors.md tells how). Nothing of your code leaves the machine.";

/** Make the environment with `python` unless it exists, and install or update the server in it. */
export async function install(
  python: string,
  machine: Installer,
  report: (message: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { venv, wheel } = machine;
  const onLine = (line: string): void => report(line.trim().slice(0, 100));
  const own = ownPython(machine);
  if (!(await machine.isFile(own))) {
    report("Making the environment");
    try {
      await machine.run(python, ["-m", "venv", venv], { signal, onLine });
    } catch (error) {
      // Half an environment would be taken for a whole one the next time.
      await rm(venv, { recursive: true, force: true });
      throw error;
    }
  }
  const options = ["--disable-pip-version-check", "--no-input", "--upgrade"];
  await machine.run(own, ["-m", "pip", "install", ...options, wheel], { signal, onLine });
}
