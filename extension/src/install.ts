/** An environment of the extension's own, with the server that it carries. */

import { rm } from "node:fs/promises";
import { ownPython, type Host } from "./python";

/** What installing needs of the machine. */
export interface Installer extends Pick<Host, "venv" | "platform" | "isFile" | "run"> {
  /** The wheel that the extension carries; empty when it carries none. */
  readonly wheel: string;
  /** Folders with wheels of what the server needs, as far as there are any. */
  readonly wheels: readonly string[];
  /** Where to put wheels when there is no network. */
  readonly wheelFolder: string;
}

/** The environment could not be made; the message is a sentence for the user. */
export class InstallFailed extends Error {}

/** The sentence where nothing better is known. */
export const INSTALL_FAILED = "The server could not be installed; the log says why.";

/** What the user should know before agreeing. */
export const INSTALL_DETAIL =
  "The server goes into a Python environment of its own, below this editor's storage. PyTorch " +
  "comes with it: some hundred megabytes, several gigabytes where Linux has an NVIDIA GPU. Wheels " +
  "that are on this machine already are taken from there (docs/editors.md tells how). Nothing of " +
  "your code leaves the machine.";

/** PyTorch's own builds for processors; on Linux, package indexes have the one for CUDA. */
const CPU_BUILDS = "https://download.pytorch.org/whl/cpu";
const NVIDIA_DRIVER = "/proc/driver/nvidia/version";

/** What goes wrong most often, by what Python and pip print, and what to do about it. */
const TROUBLES: readonly [RegExp, (machine: Installer) => string][] = [
  [
    /ensurepip is not available|No module named venv/,
    () => "This Python cannot make environments: install its venv package (python3-venv), or choose another one.",
  ],
  [/No space left on device|Errno 28/, ({ venv }) => `There is no room left on the disk of ${venv}.`],
  [/Permission denied|Errno 13/, ({ venv }) => `${venv} cannot be written: free it, or choose another Python.`],
  [
    /NewConnectionError|name resolution|ConnectTimeout|ProxyError|Network is unreachable|Could not find a version/,
    ({ wheelFolder }) =>
      `The package index cannot be reached or lacks a package: connect, or put the wheels into ${wheelFolder}.`,
  ],
];

/**
 * Make the environment with `python` unless it exists, and install or update the server in it.
 *
 * Rejects with `InstallFailed`, or with an abort of `signal`.
 */
export async function install(
  python: string,
  machine: Installer,
  report: (message: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { venv, wheel, wheels } = machine;
  const own = ownPython(machine);
  const step = { machine, report, signal };
  if (!(await machine.isFile(own))) {
    report("Making the environment");
    try {
      await attempt(step, python, ["-m", "venv", venv]);
    } catch (error) {
      // Half an environment would be taken for a whole one the next time.
      await rm(venv, { recursive: true, force: true });
      throw error;
    }
  }
  const pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--upgrade"];
  const here = wheels.flatMap((folder) => ["--find-links", folder]);
  if (here.length > 0) {
    report("Installing from the wheels on this machine");
    if (await succeeds(step, own, [...pip, "--no-index", ...here, wheel])) {
      return;
    }
    report("Wheels are missing; the package index is asked for the rest");
  }
  if (await wantsCpuBuild(machine)) {
    report("Installing PyTorch's build for processors");
    const alone = ["--index-url", CPU_BUILDS, "--retries", "1", "torch"];
    if (!(await succeeds(step, own, [...pip, ...here, ...alone]))) {
      report("PyTorch's own index did not answer; the package index has a larger build");
    }
  }
  await attempt(step, own, [...pip, ...here, wheel]);
}

/**
 * Whether PyTorch's own index is asked for PyTorch.
 *
 * For nothing else: beside the package index it would be asked for every package, and could answer
 * in its name.
 */
async function wantsCpuBuild({ platform, isFile }: Installer): Promise<boolean> {
  return platform === "linux" && !(await isFile(NVIDIA_DRIVER));
}

interface Step {
  readonly machine: Installer;
  readonly report: (message: string) => void;
  readonly signal: AbortSignal;
}

/** Run one program, telling what it prints, and put its failure into a sentence. */
async function attempt(step: Step, command: string, args: string[]): Promise<void> {
  const { machine, report, signal } = step;
  const printed: string[] = [];
  const onLine = (line: string): void => {
    printed.push(line);
    report(line.trim().slice(0, 100));
  };
  try {
    await machine.run(command, args, { signal, onLine });
  } catch (error) {
    throw signal.aborted ? error : new InstallFailed(sentence(printed.join("\n"), machine));
  }
}

/** Run a program that may fail; rejects only when the user has cancelled. */
async function succeeds(step: Step, command: string, args: string[]): Promise<boolean> {
  try {
    await attempt(step, command, args);
    return true;
  } catch (error) {
    if (step.signal.aborted) {
      throw error;
    }
    return false;
  }
}

function sentence(printed: string, machine: Installer): string {
  const found = TROUBLES.find(([pattern]) => pattern.test(printed));
  return found?.[1](machine) ?? INSTALL_FAILED;
}
