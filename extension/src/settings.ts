/**
 * The `falcon.*` settings as the server gets them.
 *
 * Options of scope `machine` decide what is run and where things are stored. They are taken from
 * the user's own settings alone, never from a workspace; and as long as a workspace is not trusted,
 * so are all others, with recording and training off.
 */

import { isTrusted, onSettingsChanged, setting, type Dispose } from "./vscodeapi";

/** What the manifest says of one option. */
interface Property {
  readonly scope?: string;
}

/** The part of the extension's manifest that declares options. */
export interface Manifest {
  readonly contributes: {
    readonly configuration: readonly { readonly properties: Readonly<Record<string, Property>> }[];
  };
}

export type Values = Record<string, unknown>;

/** Off in a workspace that nobody has trusted. */
const UNTRUSTED: Values = { "falcon.memory.record": false, "falcon.learning.enable": false };

/** Off after repeated crashes: what is left is completion alone. */
const CAREFUL: Values = { ...UNTRUSTED, "falcon.context.recall": false };

/** Settings that take effect only with a new server process or client. */
const FIXED_AT_START = ["falcon.languages"];

/** Reads the settings that a manifest declares. */
export class Settings {
  private readonly properties: ReadonlyMap<string, Property>;
  /** Whether the parts that may have crashed the server are left off. */
  careful = false;

  constructor(manifest: Manifest) {
    const groups = manifest.contributes.configuration;
    this.properties = new Map(groups.flatMap((group) => Object.entries(group.properties)));
  }

  /** All options by their full keys, as they are in a folder (its URI) or at large. */
  values(folder?: string): Values {
    const found: Values = {};
    for (const key of this.properties.keys()) {
      found[key] = this.value(key, folder);
    }
    return { ...found, ...(isTrusted() ? {} : UNTRUSTED), ...(this.careful ? CAREFUL : {}) };
  }

  /** All options as `initialize`, `workspace/configuration` and its notification carry them. */
  tree(folder?: string): { falcon: Values } {
    const entries = Object.entries(this.values(folder));
    return {
      falcon: Object.fromEntries(
        entries.map(([key, value]) => [key.slice("falcon.".length), value]),
      ),
    };
  }

  /** One option; a workspace has a say only where its scope and the user's trust allow it. */
  value(key: string, folder?: string): unknown {
    const { effective, user } = setting(key, folder);
    return this.isMachine(key) || !isTrusted() ? user : effective;
  }

  /** A text option, empty when it is not set. */
  text(key: string): string {
    const value = this.value(key);
    return typeof value === "string" ? value.trim() : "";
  }

  /** The language ids in which suggestions are offered. */
  languages(): string[] {
    const value = this.value("falcon.languages");
    return Array.isArray(value) ? value.filter((id) => typeof id === "string") : [];
  }

  /** Tell of changes; `restart` says whether the running server cannot take them over. */
  onChanged(listener: (restart: boolean) => void): Dispose {
    return onSettingsChanged((affects) => {
      if (affects("falcon")) {
        listener([...this.properties.keys()].some((key) => this.needsRestart(key) && affects(key)));
      }
    });
  }

  private needsRestart(key: string): boolean {
    return this.isMachine(key) || FIXED_AT_START.includes(key);
  }

  private isMachine(key: string): boolean {
    return this.properties.get(key)?.scope === "machine";
  }
}
