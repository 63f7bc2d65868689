/** A server that answers from a table and remembers what it was told. */

import type { Notifications, Rejection, Requests, Server, Status } from "../../src/protocol";

/** One message as it was sent. */
export interface Sent {
  readonly method: string;
  readonly params: unknown;
}

export class FakeServer implements Server {
  readonly sent: Sent[] = [];
  status: Status = { state: "ready" };
  message = "";
  report = { html: "<h1>Report</h1>", style: "body { color: red }" };
  rejections: Rejection[] = [];
  /** What is exported: the lines of each part. */
  exported: string[][] = [];

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
      "falcon/rejections": { rejections: this.rejections },
      "falcon/forgive": { message: this.message },
      "falcon/never": { message: this.message },
      "falcon/report": this.report,
      "falcon/export": this.part(params),
    };
    return Promise.resolve(answers[method]);
  }

  private part(params: object): Requests["falcon/export"]["result"] {
    const after = "after" in params ? (params.after as number) : 0;
    const lines = this.exported[after];
    return { lines: lines ?? [], next: lines === undefined ? null : after + 1 };
  }

  notify<M extends keyof Notifications>(method: M, params: Notifications[M]): void {
    this.sent.push({ method, params });
  }

  /** The parameters of every message of one kind. */
  received(method: string): unknown[] {
    return this.sent.filter((one) => one.method === method).map((one) => one.params);
  }
}
