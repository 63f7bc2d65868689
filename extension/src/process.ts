/** Child processes, without a shell, and the look for programs on PATH. */

import { spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import * as path from "node:path";
import { createInterface } from "node:readline";

export interface RunOptions {
  readonly cwd: string;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** Gets every line of standard output and standard error. */
  readonly onLine?: (line: string) => void;
}

/** Run a program and return its standard output; rejects unless it exits with 0. */
export function run(command: string, args: string[], options: RunOptions): Promise<string> {
  const { cwd, signal, timeoutMs, onLine } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      signal,
      timeout: timeoutMs,
      stdio: ["ignore", "pipe", "pipe"],
      windowsHide: true,
    });
    const lines: string[] = [];
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      onLine?.(line);
    });
    createInterface({ input: child.stderr }).on("line", (line) => onLine?.(line));
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0
        ? resolve(lines.join("\n"))
        : reject(new Error(`${path.basename(command)} ended with exit code ${code}`)),
    );
  });
}

export async function isFile(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Where programs are looked for, and where they must not be. */
export interface SearchPath {
  readonly platform: NodeJS.Platform;
  readonly path: string;
  /** Folders whose programs are not to be run. */
  readonly excluded: readonly string[];
  isFile(file: string): Promise<boolean>;
}

/**
 * Return the absolute path of a program, or undefined.
 *
 * Operating systems may also look in the current folder or in relative entries of PATH, which a
 * hostile workspace could fill; this looks in absolute entries only.
 */
export async function which(name: string, where: SearchPath): Promise<string | undefined> {
  const style = pathsOf(where);
  const file = where.platform === "win32" ? `${name}.exe` : name;
  for (const folder of where.path.split(style.delimiter)) {
    const candidate = style.join(folder, file);
    if (style.isAbsolute(folder) && !isInside(candidate, where, style)) {
      if (await where.isFile(candidate)) {
        return candidate;
      }
    }
  }
  return undefined;
}

/** How paths are written on a machine. */
export function pathsOf({ platform }: Pick<SearchPath, "platform">): path.PlatformPath {
  return platform === "win32" ? path.win32 : path.posix;
}

function isInside(file: string, where: SearchPath, style: path.PlatformPath): boolean {
  return where.excluded.some((folder) => {
    const way = style.relative(folder, file);
    return way !== "" && way.split(style.sep)[0] !== ".." && !style.isAbsolute(way);
  });
}
