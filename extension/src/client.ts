/**
 * The life of the server process: start, restart (one running, one waiting), and giving up politely
 * when it keeps dying.
 */

import { coalesced } from "./coalesce";
import { describe, log } from "./logger";
import type { Notifications, Requests, Server } from "./protocol";

/** A running server. */
export interface Connection extends Server {
  /** Ends it; never rejects. */
  stop(): Promise<void>;
}

/**
 * Starts a server. `careful` asks for one without the parts that may have crashed the last one;
 * `died` must be called when it ends without having been asked to.
 */
export type Connect = (careful: boolean, died: () => void) => Promise<Connection>;

/** What the rest of the extension wants to know. */
export interface Listener {
  starting(): void;
  started(server: Server): void;
  /** Cannot be started, and trying again would not help; the user has been told. */
  unavailable(reason: string): void;
  /** It has died too often. */
  gaveUp(): void;
}

/** There is nothing to start: no interpreter, or no package. */
export class Unavailable extends Error {}

/** So many crashes within so many milliseconds are enough. */
const MAX_CRASHES = 5;
const CRASH_WINDOW_MS = 180_000;
/** From this crash on, the server is started without memory and learning. */
const CAREFUL_AFTER = 2;
const RETRY_DELAY_MS = 1_000;

export class Supervisor implements Server {
  private connection: Connection | undefined;
  private crashes: number[] = [];
  private retry: NodeJS.Timeout | undefined;
  private closed = false;
  /** Identifies the process whose death matters; older ones may still be ending. */
  private epoch = 0;
  private readonly cycle = coalesced(() => this.replace());

  constructor(
    private readonly connect: Connect,
    private readonly listener: Listener,
  ) {}

  /** Start, or end what runs and start anew; earlier crashes are forgiven. */
  restart(): Promise<void> {
    this.crashes = [];
    return this.cycle();
  }

  /** End the server for good. */
  stop(): Promise<void> {
    this.closed = true;
    return this.cycle();
  }

  async request<M extends keyof Requests>(
    method: M,
    params: Requests[M]["params"],
  ): Promise<Requests[M]["result"]> {
    if (this.connection === undefined) {
      throw new Error("The server is not running.");
    }
    return this.connection.request(method, params);
  }

  notify<M extends keyof Notifications>(method: M, params: Notifications[M]): void {
    this.connection?.notify(method, params);
  }

  private async replace(): Promise<void> {
    clearTimeout(this.retry);
    const epoch = ++this.epoch;
    const old = this.connection;
    this.connection = undefined;
    await old?.stop();
    if (this.closed) {
      return;
    }
    this.listener.starting();
    try {
      await this.begin(epoch);
    } catch (error) {
      this.failed(epoch, error);
    }
  }

  private async begin(epoch: number): Promise<void> {
    const careful = this.crashes.length >= CAREFUL_AFTER;
    const connection = await this.connect(careful, () => this.crashed(epoch));
    if (epoch !== this.epoch) {
      await connection.stop();
      return;
    }
    this.connection = connection;
    this.listener.started(this);
  }

  private failed(epoch: number, error: unknown): void {
    if (error instanceof Unavailable) {
      this.listener.unavailable(error.message);
      return;
    }
    log().error(`The server did not start: ${describe(error)}`);
    this.crashed(epoch);
  }

  private crashed(epoch: number): void {
    if (epoch !== this.epoch) {
      return;
    }
    this.epoch++;
    this.connection = undefined;
    const now = Date.now();
    this.crashes = [...this.crashes.filter((time) => now - time < CRASH_WINDOW_MS), now];
    log().warn(`The server ended unexpectedly (${this.crashes.length} of ${MAX_CRASHES}).`);
    if (this.crashes.length >= MAX_CRASHES) {
      this.listener.gaveUp();
    } else {
      this.retry = setTimeout(() => void this.cycle(), RETRY_DELAY_MS);
    }
  }
}
