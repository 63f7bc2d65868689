/** From the settings to a command line that starts the server, with the user's help if need be. */

import { Unavailable } from "./client";
import { install, INSTALL_DETAIL, INSTALL_FAILED, InstallFailed } from "./install";
import { describe, log } from "./logger";
import { machine, type Folders } from "./machine";
import type { Status } from "./protocol";
import { resolve, type Launch } from "./python";
import type { Settings } from "./settings";
import {
  confirm,
  executeCommand,
  setContext,
  showError,
  showInfo,
  withProgress,
} from "./vscodeapi";

const INSTALL = "Install the server";
const CHOOSE = "Choose an interpreter";
const SHOW_LOG = "Show log";
const TRY_AGAIN = "Try again";

/** The view that offers to install the server; without entries, so that its words are shown. */
export const WELCOME = "falcon.welcome";

/** The context key that says that the server is not installed: the welcome view is for then. */
export const MISSING = "falcon.missing";

/** There is a Python, but no server in it. */
class NotInstalled extends Unavailable {
  constructor(
    reason: string,
    readonly python: string,
  ) {
    super(reason);
  }
}

/** Finds the server, and offers to install it where it is missing. */
export class Setup {
  private reason: Unavailable | undefined;
  /** What the user has been told about a running server. */
  private told = "";

  constructor(
    private readonly settings: Settings,
    private readonly folders: Folders,
    private readonly restart: () => Promise<void>,
  ) {}

  /** The command line; rejects with `Unavailable`. */
  async find(): Promise<Launch> {
    this.reason = undefined;
    const host = await machine(this.folders);
    const found = await resolve(this.settings.text("falcon.interpreter"), host);
    const missing = found.kind === "install" && host.wheel !== "";
    setContext(MISSING, missing);
    if (found.kind === "launch") {
      log().info(`Starting the server of ${found.from}.`);
      const wheels = host.wheels.at(-1);
      return wheels === undefined
        ? found.launch
        : { ...found.launch, env: { FALCON_WHEELS: wheels } };
    }
    this.reason = missing
      ? new NotInstalled(found.reason, found.python)
      : new Unavailable(found.reason);
    throw this.reason;
  }

  /** Say in one sentence what is missing, with a button that does something about it. */
  async explain(): Promise<void> {
    const reason = this.reason;
    if (reason === undefined) {
      return;
    }
    const buttons = reason instanceof NotInstalled ? [INSTALL, CHOOSE] : [CHOOSE, SHOW_LOG];
    switch (await showError(reason.message, ...buttons)) {
      case INSTALL:
        return this.install();
      case CHOOSE:
        return executeCommand("workbench.action.openSettings", "falcon.interpreter");
      case SHOW_LOG:
        return log().show();
    }
  }

  /** Install what the extension carries, after asking; then start it. */
  async install(): Promise<void> {
    if (!(this.reason instanceof NotInstalled)) {
      await showInfo(this.reason?.message ?? "The server is installed.");
      return;
    }
    const { python } = this.reason;
    if (!(await confirm("Install the falcon-lsp server?", INSTALL_DETAIL, "Install"))) {
      return;
    }
    try {
      await withProgress("Installing the falcon-lsp server", async (report, signal) => {
        const tell = (message: string): void => {
          report(message);
          log().info(message);
        };
        await install(python, await machine(this.folders), tell, signal);
      });
    } catch (error) {
      return this.failed(error);
    }
    await this.restart();
  }

  /** Say once what keeps a running server from suggesting: no model, no room for it, no network. */
  async troubled({ state, message }: Status): Promise<void> {
    const trouble = state === "trouble" ? (message ?? "") : "";
    if (trouble === this.told) {
      return;
    }
    this.told = trouble;
    if (trouble !== "") {
      await this.offer(trouble, () => this.restart());
    }
  }

  private async failed(error: unknown): Promise<void> {
    if (error instanceof Error && error.name === "AbortError") {
      log().info("Installing was cancelled.");
      return;
    }
    log().error(`Installing failed: ${describe(error)}`);
    const sentence = error instanceof InstallFailed ? error.message : INSTALL_FAILED;
    await this.offer(sentence, () => this.install());
  }

  /** Say what went wrong, and let the user try again or look into the log. */
  private async offer(sentence: string, again: () => Promise<void>): Promise<void> {
    switch (await showError(sentence, TRY_AGAIN, SHOW_LOG)) {
      case TRY_AGAIN:
        return again();
      case SHOW_LOG:
        return log().show();
    }
  }
}
