import assert from "node:assert/strict";
import { existsSync, mkdtempSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { beforeEach, test } from "node:test";
import { install, INSTALL_FAILED, type Installer } from "../src/install";

const WHEEL = "/extension/server-wheel/falcon_lsp-1.0.0-py3-none-any.whl";
const GPU = "/proc/driver/nvidia/version";
let venv: string;
let ran: string[];
let told: string[];

beforeEach(() => {
  venv = path.join(mkdtempSync(path.join(tmpdir(), "falcon-")), "venv");
  ran = [];
  told = [];
});

/** A machine where command lines that hold `failing` print `says` and fail. */
function machine(
  failing = "",
  says = "",
  files: string[] = [],
  more: Partial<Installer> = {},
): Installer {
  return {
    venv,
    platform: "linux",
    wheel: WHEEL,
    wheels: [],
    wheelFolder: "/storage/wheels",
    isFile: (file) => Promise.resolve(files.includes(file)),
    run: (command, args, { onLine }) => {
      const line = [command, ...args].join(" ");
      ran.push(line);
      if (args.includes("venv")) {
        mkdirSync(venv);
      }
      if (failing === "" || !line.includes(failing)) {
        return Promise.resolve("");
      }
      onLine?.(says);
      return Promise.reject(new Error("ended with exit code 1"));
    },
    ...more,
  };
}

const start = (on: Installer): Promise<void> =>
  install("/usr/bin/python3", on, (line) => told.push(line), new AbortController().signal);

const own = (): string => path.posix.join(venv, "bin", "python");
const INSTALL = "-m pip install --disable-pip-version-check --no-input --upgrade";
const pip = (...more: string[]): string => [own(), INSTALL, ...more, WHEEL].join(" ");
const torch = (...more: string[]): string =>
  [own(), INSTALL, ...more, "--index-url https://download.pytorch.org/whl/cpu --retries 1 torch"].join(
    " ",
  );

test("an environment is made, and the carried wheel goes into it", async () => {
  await start(machine());
  assert.deepEqual(ran, [`/usr/bin/python3 -m venv ${venv}`, torch(), pip()]);
});

test("an environment that exists is only updated", async () => {
  await start(machine("", "", [own()]));
  assert.deepEqual(ran, [torch(), pip()]);
});

test("where PyTorch's own index is out of reach, the package index has to do", async () => {
  await start(machine("--index-url", "NewConnectionError", [own()]));
  assert.deepEqual(ran, [torch(), pip()]);
  assert.match(told.at(-1) ?? "", /larger build/);
});

const builds: [name: string, Partial<Installer>, files: string[]][] = [
  ["with a driver for NVIDIA GPUs", {}, [GPU]],
  ["on macOS", { platform: "darwin" }, []],
];

for (const [name, more, files] of builds) {
  test(`${name}, PyTorch comes from the package index`, async () => {
    await start(machine("", "", [own(), ...files], more));
    assert.deepEqual(ran, [pip()]);
  });
}

test("wheels on this machine are enough", async () => {
  await start(machine("", "", [own()], { wheels: ["/storage/wheels"] }));
  assert.deepEqual(ran, [pip("--no-index", "--find-links", "/storage/wheels")]);
});

test("what they lack comes from the index", async () => {
  await start(machine("--no-index", "", [own()], { wheels: ["/storage/wheels"] }));
  const here = ["--find-links", "/storage/wheels"];
  assert.deepEqual(ran.slice(1), [torch(...here), pip(...here)]);
});

test("half an environment does not stay", async () => {
  await assert.rejects(start(machine("-m venv")), { message: INSTALL_FAILED });
  assert.equal(ran.length, 1);
  assert.ok(!existsSync(venv));
});

test("an environment stays when pip fails, for the next try", async () => {
  await assert.rejects(start(machine("-m pip")), { message: INSTALL_FAILED });
  assert.ok(existsSync(venv));
});

const troubles: [printed: string, sentence: RegExp][] = [
  ["ensurepip is not available.  On Debian/Ubuntu systems", /python3-venv/],
  ["ERROR: [Errno 28] No space left on device", /no room left on the disk of/],
  ["PermissionError: [Errno 13] Permission denied: '/x'", /cannot be written/],
  ["NewConnectionError('Failed to establish a new connection')", /into \/storage\/wheels/],
];

for (const [printed, sentence] of troubles) {
  test(`in one sentence: ${printed}`, async () => {
    await assert.rejects(start(machine("-m", printed)), { message: sentence });
    assert.deepEqual(told, ["Making the environment", printed]);
  });
}

test("who cancels is not told of a failure", async () => {
  const controller = new AbortController();
  const cancelled = machine("", "", [own()], {
    run: () => {
      controller.abort();
      return Promise.reject(controller.signal.reason as Error);
    },
  });
  const wheels = { ...cancelled, wheels: ["/storage/wheels"] };
  await assert.rejects(install("", wheels, () => undefined, controller.signal), {
    name: "AbortError",
  });
});
