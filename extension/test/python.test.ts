import assert from "node:assert/strict";
import { test } from "node:test";
import { resolve, type Host, type Resolution } from "../src/python";

const VENV = "/storage/venv";
const OWN = `${VENV}/bin/python`;
const SERVED = ["-P", "-m", "falcon_lsp", "serve", "--stdio"];

/** A machine: programs by path, each with a Python version and perhaps a server. */
interface Program {
  readonly python?: [number, number];
  readonly server?: string;
}

function host(programs: Record<string, Program>, more: Partial<Host> = {}): Host {
  return {
    platform: "linux",
    path: "/usr/local/bin:/usr/bin",
    excluded: [],
    venv: VENV,
    carried: "1.0.0",
    isFile: (file) => Promise.resolve(file in programs),
    run: (command) => {
      const program = programs[command];
      return program?.python === undefined
        ? Promise.reject(new Error("cannot be run"))
        : Promise.resolve(
            JSON.stringify({
              executable: command,
              version: program.python,
              server: program.server,
            }),
          );
    },
    chosenInterpreter: () => Promise.resolve(undefined),
    ...more,
  };
}

/** What would be started, in short. */
function command(resolution: Resolution): string {
  switch (resolution.kind) {
    case "launch":
      return [resolution.launch.command, ...resolution.launch.args].join(" ");
    case "install":
      return `install with ${resolution.python}`;
    case "none":
      return "none";
  }
}

const all: Record<string, Program> = {
  "/chosen/python": { python: [3, 12], server: "1.0.0" },
  [OWN]: { python: [3, 11], server: "1.0.0" },
  "/usr/bin/falcon-lsp": {},
  "/conda/python": { python: [3, 12], server: "1.0.0" },
  "/usr/bin/python3": { python: [3, 11], server: "1.0.0" },
};
const chosenInterpreter = (): Promise<string> => Promise.resolve("/conda/python");

/** Each place is found once all before it are gone. */
const order: [name: string, setting: string, gone: string[], expected: string][] = [
  ["the setting", "/chosen/python", [], `/chosen/python ${SERVED.join(" ")}`],
  ["the extension's environment", "", [], `${OWN} ${SERVED.join(" ")}`],
  ["falcon-lsp on PATH", "", [OWN], "/usr/bin/falcon-lsp serve --stdio"],
  ["the chosen interpreter", "", [OWN, "/usr/bin/falcon-lsp"], `/conda/python ${SERVED.join(" ")}`],
  [
    "Python on PATH",
    "",
    [OWN, "/usr/bin/falcon-lsp", "/conda/python"],
    `/usr/bin/python3 ${SERVED.join(" ")}`,
  ],
];

for (const [name, setting, gone, expected] of order) {
  test(`in its turn comes ${name}`, async () => {
    const left = Object.fromEntries(Object.entries(all).filter(([file]) => !gone.includes(file)));
    assert.equal(command(await resolve(setting, host(left, { chosenInterpreter }))), expected);
  });
}

const cases: [name: string, setting: string, Record<string, Program>, expected: string][] = [
  ["a setting that cannot be run is not passed over", "/gone/python", all, "none"],
  [
    "a setting without the server is offered it",
    "/plain/python",
    { ...all, "/plain/python": { python: [3, 13] } },
    "install with /plain/python",
  ],
  [
    "an older server in the extension's environment is updated",
    "",
    { ...all, [OWN]: { python: [3, 11], server: "0.9.0" } },
    `install with ${OWN}`,
  ],
  [
    "a Python with the server wins over an earlier one on PATH without",
    "",
    {
      "/usr/local/bin/python3": { python: [3, 12] },
      "/usr/bin/python": { python: [3, 11], server: "1" },
    },
    `/usr/bin/python ${SERVED.join(" ")}`,
  ],
  [
    "an old Python is of no use",
    "",
    { "/usr/bin/python3": { python: [3, 10], server: "1" } },
    "none",
  ],
  ["no Python at all", "", {}, "none"],
];

for (const [name, setting, programs, expected] of cases) {
  test(name, async () => {
    assert.equal(command(await resolve(setting, host(programs))), expected);
  });
}

test("the sentence says which versions were found", async () => {
  const found = await resolve("", host({ "/usr/bin/python3": { python: [3, 9] } }));
  assert.ok(found.kind === "none");
  assert.equal(found.reason, "falcon-lsp needs Python 3.11 or newer; only 3.9 was found.");
});

test("on Windows the launcher is asked for Python 3, and the one it names is started", async () => {
  const launcher = "C:\\Windows\\py.exe";
  const asked: string[][] = [];
  const machine = host(
    { [launcher]: {} },
    {
      platform: "win32",
      path: "C:\\Windows",
      run: (_, args) => {
        asked.push(args.slice(0, 1));
        const answer = { executable: "C:\\Py\\python.exe", version: [3, 12], server: "1.0.0" };
        return Promise.resolve(JSON.stringify(answer));
      },
    },
  );
  assert.equal(command(await resolve("", machine)), `C:\\Py\\python.exe ${SERVED.join(" ")}`);
  assert.deepEqual(asked, [["-3"]]);
});

const hostile: [name: string, path: string, file: string][] = [
  ["a relative entry of PATH", "bin:.", "bin/falcon-lsp"],
  ["an untrusted workspace", "/home/me/project/bin", "/home/me/project/bin/falcon-lsp"],
];

for (const [name, path, file] of hostile) {
  test(`nothing is run from ${name}`, async () => {
    const machine = host({ [file]: {} }, { path, excluded: ["/home/me/project"] });
    assert.equal((await resolve("", machine)).kind, "none");
  });
}
