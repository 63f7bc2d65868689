import assert from "node:assert/strict";
import { beforeEach, mock, test, type TestContext } from "node:test";
import { Supervisor, Unavailable, type Connection } from "../src/client";
import { FakeServer } from "./fakes/server";

/** Everything that happened, in order. */
let events: string[];
/** Ends the newest server. */
let die: () => void;
let starts: (careful: boolean) => Promise<void>;

beforeEach(() => {
  events = [];
  starts = () => Promise.resolve();
});

function supervisor(): Supervisor {
  const connect = async (careful: boolean, died: () => void): Promise<Connection> => {
    await starts(careful);
    die = died;
    const server = new FakeServer();
    return {
      request: server.request.bind(server),
      notify: server.notify.bind(server),
      stop: () => Promise.resolve(void events.push("stop")),
    };
  };
  return new Supervisor(connect, {
    starting: () => events.push("starting"),
    started: () => events.push("started"),
    unavailable: (reason) => events.push(`unavailable: ${reason}`),
    gaveUp: () => events.push("gave up"),
  });
}

function useMockTime({ mock: clock }: TestContext): (milliseconds: number) => Promise<void> {
  clock.timers.enable({ apis: ["setTimeout", "Date"] });
  return async (milliseconds) => {
    clock.timers.tick(milliseconds);
    await new Promise(setImmediate);
  };
}

test("restarts while one runs make one more start, each after the end of the one before", async () => {
  const server = supervisor();
  await Promise.all([server.restart(), server.restart(), server.restart(), server.restart()]);
  assert.deepEqual(events, ["starting", "started", "stop", "starting", "started"]);
});

test("a server that dies is started again after a moment", async (t) => {
  const pass = useMockTime(t);
  const server = supervisor();
  await server.restart();
  die();
  await assert.rejects(server.request("falcon/status", {}), /not running/);
  await pass(1000);
  assert.deepEqual(events, ["starting", "started", "starting", "started"]);
  assert.deepEqual(await server.request("falcon/status", {}), { state: "ready" });
});

test("the second crash in a row leaves memory and learning off", async (t) => {
  const pass = useMockTime(t);
  const careful: boolean[] = [];
  starts = (value) => Promise.resolve(void careful.push(value));
  const server = supervisor();
  await server.restart();
  for (let crash = 0; crash < 3; crash++) {
    die();
    await pass(1000);
  }
  assert.deepEqual(careful, [false, false, true, true]);
});

test("the fifth crash within three minutes is the last, until the user asks", async (t) => {
  const pass = useMockTime(t);
  const server = supervisor();
  await server.restart();
  for (let crash = 0; crash < 5; crash++) {
    die();
    await pass(1000);
  }
  await pass(600_000);
  assert.equal(events.filter((event) => event === "started").length, 5);
  assert.equal(events.at(-1), "gave up");
  await server.restart();
  assert.equal(events.at(-1), "started");
});

test("crashes far apart are forgotten", async (t) => {
  const pass = useMockTime(t);
  const server = supervisor();
  await server.restart();
  for (let crash = 0; crash < 8; crash++) {
    die();
    await pass(1000);
    await pass(60_000);
  }
  assert.ok(!events.includes("gave up"));
});

test("a start that fails counts as a crash", async (t) => {
  const pass = useMockTime(t);
  starts = () => Promise.reject(new Error("no"));
  await supervisor().restart();
  for (let crash = 0; crash < 5; crash++) {
    await pass(1000);
  }
  assert.equal(events.filter((event) => event === "starting").length, 5);
  assert.equal(events.at(-1), "gave up");
});

test("where there is nothing to start, no second try is made", async (t) => {
  const pass = useMockTime(t);
  starts = () => Promise.reject(new Unavailable("no Python"));
  await supervisor().restart();
  await pass(600_000);
  assert.deepEqual(events, ["starting", "unavailable: no Python"]);
});

test("a server that was replaced may die without being missed", async (t) => {
  const pass = useMockTime(t);
  const server = supervisor();
  await server.restart();
  const dieOld = die;
  await server.restart();
  dieOld();
  await pass(600_000);
  assert.equal(events.filter((event) => event === "started").length, 2);
});

test("stopping ends the server and starts no other", async () => {
  const server = supervisor();
  await server.restart();
  await server.stop();
  await server.restart();
  assert.deepEqual(events, ["starting", "started", "stop"]);
  mock.reset();
});
