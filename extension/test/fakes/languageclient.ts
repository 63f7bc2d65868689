/** Stands in for `src/languageclient.ts`: no process, and what the extension does is written down. */

import type { ClientOptions, startClient as real } from "../../src/languageclient";
import { FakeServer } from "./server";

/** The clients that were started, newest last. */
export const started: ClientOptions[] = [];
export const server = new FakeServer();

export const startClient: typeof real = (options) => {
  started.push(options);
  return Promise.resolve({
    request: server.request.bind(server),
    notify: server.notify.bind(server),
    stop: () => Promise.resolve(),
  });
};
