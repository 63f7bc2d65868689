/**
 * The learning report in a tab of the editor.
 *
 * The server writes its content, escaped; the frame around it lets nothing run but our own script,
 * and nothing be loaded. What is pressed there comes back as a message and is checked here.
 */

import { randomBytes } from "node:crypto";
import { open, writeFile } from "node:fs/promises";
import { describe } from "./logger";
import type { Requests, Server } from "./protocol";
import {
  askWhereToSave,
  confirm,
  createPanel,
  registerCommand,
  showError,
  showInfo,
  type Dispose,
  type Panel,
} from "./vscodeapi";
import script from "webview:report";

/** The command that opens it. */
export const SHOW_REPORT = "falcon.showReport";

type Telling = "falcon/trainNow" | "falcon/rollback" | "falcon/forgive" | "falcon/forget";

/** What a press carries: the `data-*` of a button, all of them texts. */
type Pressed = Readonly<Record<string, string>>;

/** One report at most, which is shown again when it is asked for again. */
export class LearningReport {
  private panel: Panel | undefined;
  private search = "";
  /** What was read when it was opened, until the page is there to show it. */
  private unseen: string | undefined;

  constructor(private readonly server: Pick<Server, "request">) {}

  register(): Dispose[] {
    return [
      registerCommand(SHOW_REPORT, () => this.open()),
      registerCommand("falcon.exportMemory", () => this.attempt(() => this.exportMemory())),
      { dispose: () => this.panel?.dispose() },
    ];
  }

  /** Open the report, or bring it to the front with the figures of now. */
  async open(): Promise<void> {
    await this.attempt(async () => {
      if (this.panel !== undefined) {
        this.panel.reveal();
        return this.refresh("");
      }
      this.search = "";
      const { html, style } = await this.server.request("falcon/report", {});
      this.unseen = html;
      this.panel ??= this.create(style);
    });
  }

  private create(style: string): Panel {
    const panel = createPanel("falcon.report", "What falcon-lsp has learned");
    panel.onClosed(() => (this.panel = undefined));
    panel.onMessage((message) => this.heard(message));
    panel.show(frame(style, randomBytes(18).toString("base64url")));
    return panel;
  }

  /** The page says that it is there, or what was pressed in it. */
  private async heard(message: unknown): Promise<void> {
    const pressed = texts(message);
    await this.attempt(() => this.act(pressed));
  }

  private async act({ action, id = "", workspace = "", path = "", search = "" }: Pressed) {
    switch (action) {
      case "ready":
        return this.begin();
      case "search":
        this.search = search;
        return this.refresh(search === "" ? "" : `Searched for ${search}.`);
      case "train":
        return this.tell("falcon/trainNow", {});
      case "rollback":
        return this.tell("falcon/rollback", id === "" ? {} : { id });
      case "forgive":
        return this.tell("falcon/forgive", { id });
      case "forget":
        return this.forget("this suggestion", { completionId: id });
      case "forgetFile":
        return this.forget(path, { workspace, path });
      case "export":
        return this.exportMemory();
      case "save":
        return this.savePage();
    }
  }

  private async forget(what: string, params: Requests["falcon/forget"]["params"]): Promise<void> {
    const question = `Forget all that was recorded of ${what}?`;
    const detail = "What was learned from it goes as well. This cannot be undone.";
    if (await confirm(question, detail, "Forget")) {
      await this.tell("falcon/forget", params);
    }
  }

  /** Ask for something, and show what was said and what is so now. */
  private async tell<M extends Telling>(method: M, params: Requests[M]["params"]): Promise<void> {
    const answer: Requests[Telling]["result"] = await this.server.request(method, params);
    await this.refresh(answer?.message ?? "");
  }

  private async begin(): Promise<void> {
    const html = this.unseen;
    this.unseen = undefined;
    if (html === undefined) {
      await this.refresh("");
    } else {
      this.panel?.post({ html, said: "" });
    }
  }

  /** Show what is so now, and say what was done; without a page, say it alone. */
  private async refresh(said: string): Promise<void> {
    if (this.panel === undefined) {
      await showInfo(said);
      return;
    }
    const { html } = await this.server.request("falcon/report", { search: this.search });
    this.panel?.post({ html, said });
  }

  private async savePage(): Promise<void> {
    const file = await askWhereToSave("falcon-report.html", "Page", "html");
    if (file !== undefined) {
      const asked = { search: this.search, whole: true };
      const { html } = await this.server.request("falcon/report", asked);
      await writeFile(file, html);
      await this.refresh(`Saved as ${file}.`);
    }
  }

  /** Write every event as a line, part by part: months of them need not fit into a message. */
  private async exportMemory(): Promise<void> {
    const file = await askWhereToSave("falcon-memory.jsonl", "JSON lines", "jsonl");
    if (file === undefined) {
      return;
    }
    const handle = await open(file, "w");
    let count = 0;
    try {
      for (let after: number | null = 0; after !== null; ) {
        const part: Requests["falcon/export"]["result"] = await this.server.request(
          "falcon/export",
          { after },
        );
        await handle.write(part.lines.map((line) => `${line}\n`).join(""));
        count += part.lines.length;
        after = part.next;
      }
    } finally {
      await handle.close();
    }
    await this.refresh(`${count} events were written to ${file}.`);
  }

  /** Failures are told where the user is looking. */
  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await showError(describe(error));
    }
  }
}

/** The texts of a message by name; whatever else it holds is dropped. */
function texts(message: unknown): Pressed {
  const entries = typeof message === "object" && message !== null ? Object.entries(message) : [];
  return Object.fromEntries(entries.filter(([, value]) => typeof value === "string"));
}

/** The page around the report. `nonce` is what our own style and script are known by. */
export function frame(style: string, nonce: string): string {
  const policy = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}; form-action 'none'; base-uri 'none'">
<title>What falcon-lsp has learned</title>
<style nonce="${nonce}">${style}</style>
</head>
<body>
<p id="said" role="status" class="note"></p>
<main tabindex="-1"><p class="nothing">Reading what was recorded …</p></main>
<script nonce="${nonce}">${script}</script>
</body>
</html>
`;
}
