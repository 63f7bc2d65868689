/**
 * What to start: a Python of at least 3.11 that has the server, or one that could be given it.
 *
 * Looked at in order: the `falcon.interpreter` setting, the environment that this extension has
 * made, `falcon-lsp` on PATH, the Python extension's interpreter, and Python on PATH.
 */

import { pathsOf, which, type RunOptions, type SearchPath } from "./process";

/** A command line for a language server on standard input and output. */
export interface Launch {
  readonly command: string;
  readonly args: string[];
  /** Variables beside those of the editor. */
  readonly env?: Readonly<Record<string, string>>;
}

export type Resolution =
  | { readonly kind: "launch"; readonly launch: Launch; readonly from: string }
  /** `python` is good enough, but has no server, or (our own) not this extension's version. */
  | { readonly kind: "install"; readonly python: string; readonly reason: string }
  | { readonly kind: "none"; readonly reason: string };

/** The machine, as far as it matters here. */
export interface Host extends SearchPath {
  /** The folder of the environment that this extension makes. */
  readonly venv: string;
  /** The version of the server that this extension carries; empty when it carries none. */
  readonly carried: string;
  /** Run a program in a folder of our own and return its output. */
  run(command: string, args: string[], options: Omit<RunOptions, "cwd">): Promise<string>;
  /** The interpreter that the user has chosen in the Python extension, if there is one. */
  chosenInterpreter(): Promise<string | undefined>;
}

interface Interpreter {
  readonly executable: string;
  readonly version: readonly [number, number];
  /** The version of the server that it has; undefined without one. */
  readonly server?: string;
}

const OLDEST: readonly [number, number] = [3, 11];

const PROBE_TIMEOUT_MS = 20_000;

const PROBE = `
import importlib.util, json, sys
found = {"executable": sys.executable, "version": sys.version_info[:2]}
if importlib.util.find_spec("falcon_lsp"):
    import falcon_lsp
    found["server"] = falcon_lsp.__version__
print(json.dumps(found))
`;

/** The Python of the environment that this extension makes. */
export function ownPython(host: Pick<Host, "venv" | "platform">): string {
  const parts = host.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"];
  return pathsOf(host).join(host.venv, ...parts);
}

/** Find what to start. `configured` is the `falcon.interpreter` setting, empty when not set. */
export async function resolve(configured: string, host: Host): Promise<Resolution> {
  if (configured !== "") {
    return fromSetting(configured, host);
  }
  const own = await probe(ownPython(host), [], host);
  if (own?.server !== undefined && (host.carried === "" || own.server === host.carried)) {
    return launch(own, "the extension's environment");
  }
  if (own?.server !== undefined) {
    const reason = `The extension's environment has version ${own.server}, not ${host.carried}.`;
    return { kind: "install", python: own.executable, reason };
  }
  const program = await which("falcon-lsp", host);
  if (program !== undefined) {
    const command = { command: program, args: ["serve", "--stdio"] };
    return { kind: "launch", launch: command, from: "falcon-lsp on PATH" };
  }
  return fromInterpreters(await interpreters(host));
}

async function fromSetting(configured: string, host: Host): Promise<Resolution> {
  const found = await probe(configured, [], host);
  if (found === undefined) {
    const reason = `The Python in the setting falcon.interpreter cannot be run: ${configured}`;
    return { kind: "none", reason };
  }
  return fromInterpreters([found]);
}

/** Python on this machine, the user's choice first. */
async function interpreters(host: Host): Promise<Interpreter[]> {
  const found: Interpreter[] = [];
  const chosen = await host.chosenInterpreter();
  const candidates: [string | undefined, string[]][] = [
    [chosen, []],
    [await which("python3", host), []],
    [await which("python", host), []],
    [await which("py", host), ["-3"]],
  ];
  for (const [command, args] of candidates) {
    const one = command === undefined ? undefined : await probe(command, args, host);
    if (one !== undefined) {
      found.push(one);
    }
  }
  return found;
}

function fromInterpreters(found: readonly Interpreter[]): Resolution {
  const usable = found.filter(({ version }) => isRecent(version));
  const complete = usable.find(({ server }) => server !== undefined);
  if (complete !== undefined) {
    return launch(complete, complete.executable);
  }
  if (usable[0] !== undefined) {
    const reason = "The falcon-lsp server is not installed yet.";
    return { kind: "install", python: usable[0].executable, reason };
  }
  const versions = found.map(({ version }) => version.join(".")).join(", ");
  const seen = versions === "" ? "none was found" : `only ${versions} was found`;
  return { kind: "none", reason: `falcon-lsp needs Python ${OLDEST.join(".")} or newer; ${seen}.` };
}

/** `-P` keeps the current folder out of the module path; every Python we accept knows it. */
function launch(python: Interpreter, from: string): Resolution {
  const args = ["-P", "-m", "falcon_lsp", "serve", "--stdio"];
  return { kind: "launch", launch: { command: python.executable, args }, from };
}

async function probe(
  command: string,
  args: string[],
  host: Host,
): Promise<Interpreter | undefined> {
  if (pathsOf(host).isAbsolute(command) && !(await host.isFile(command))) {
    return undefined;
  }
  try {
    const limit = { timeoutMs: PROBE_TIMEOUT_MS };
    const answer = await host.run(command, [...args, "-c", PROBE], limit);
    return JSON.parse(answer) as Interpreter;
  } catch {
    return undefined;
  }
}

function isRecent([major, minor]: readonly [number, number]): boolean {
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}
