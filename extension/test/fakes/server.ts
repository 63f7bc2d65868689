/** A server that answers from a table and remembers what it was told. */

import type { Notifications, Requests, Server, Status } from "../../src/protocol";

/** One message as it was sent. */
export interface Sent {
  readonly method: string;
  readonly params: unknown;
}

export class FakeServer implements Server {
  readonly sent: Sent[] = [];
  status: Status = { state: "ready" };
  message = "";

  request<M extends keyof Requests>(
    method: M,
    params: Requests[M]["params"],
  ): Promise<Requests[M]["result"]> {
    this.sent.push({ method, params });
    const answers: { [K in keyof Requests]: Requests[K]["result"] } = {
      "falcon/feedback": { recorded: true },
      "falcon/status": this.status,
      "falcon/pause": null,
      "falcon/snooze": null,
      "falcon/trainNow": { message: this.message },
      "falcon/forget": { message: this.message },
      "falcon/rollback": { message: this.message },
    };
    return Promise.resolve(answers[method]);
  }

  notify<M extends keyof Notifications>(method: M, params: Notifications[M]): void {
    this.sent.push({ method, params });
  }

  /** The parameters of every message of one kind. */
  received(method: string): unknown[] {
    return this.sent.filter((one) => one.method === method).map((one) => one.params);
  }
}
