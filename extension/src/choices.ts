/** Lists to choose from: how readily to suggest, the model, what was declined, why nothing came. */

import type { Reason, Rejection, Requests, Server, Status } from "./protocol";
import { newestFirst } from "./status";
import { ask, askForFolder, changeSetting, pick, setting, showInfo } from "./vscodeapi";

const AGGRESSIVENESS = "falcon.completion.aggressiveness";
const MODEL = "falcon.model";

const READINESS = [
  { value: "eager", label: "Eager", description: "suggest more, also what is less sure" },
  { value: "balanced", label: "Balanced", description: "as falcon.completion.threshold says" },
  { value: "quiet", label: "Quiet", description: "suggest only what is likely to be taken" },
];

/** Models whose format is known; any other id or folder can be named. */
const MODELS = [
  { value: "default", label: "Built in", description: "135 million parameters, for any machine" },
  { value: "Qwen/Qwen2.5-Coder-0.5B", label: "Qwen2.5-Coder 0.5B", description: "1 GB to fetch" },
  { value: "Qwen/Qwen2.5-Coder-1.5B", label: "Qwen2.5-Coder 1.5B", description: "3 GB to fetch" },
  { value: "bigcode/starcoder2-3b", label: "StarCoder2 3B", description: "12 GB, for a GPU" },
];
const BY_NAME = "$(cloud-download) Another from Hugging Face …";
const BY_FOLDER = "$(folder) A folder …";

/** Let the user say how readily suggestions are shown. */
export async function chooseAggressiveness(): Promise<void> {
  const now = setting(AGGRESSIVENESS).effective;
  const entries = READINESS.map((each) => ({ ...each, label: marked(each.label, each.value === now) }));
  const chosen = await pick(entries, "How readily to suggest");
  if (chosen !== undefined) {
    await changeSetting(AGGRESSIVENESS, chosen.value);
  }
}

/** Let the user name another model; the server starts anew with it. */
export async function chooseModel(): Promise<void> {
  const now = setting(MODEL).user;
  const known = MODELS.map((each) => ({ ...each, label: marked(each.label, each.value === now) }));
  const others = [BY_NAME, BY_FOLDER].map((label) => ({ label, value: "", description: "" }));
  const chosen = await pick([...known, ...others], "Model: what was learned belongs to one model");
  const value = await model(chosen, typeof now === "string" ? now : "");
  if (value !== undefined && value !== "" && value !== now) {
    await changeSetting(MODEL, value);
  }
}

async function model(
  chosen: { label: string; value: string } | undefined,
  now: string,
): Promise<string | undefined> {
  switch (chosen?.label) {
    case BY_NAME:
      return (await ask("Hugging Face id of a base model for code", now))?.trim();
    case BY_FOLDER:
      return askForFolder("Folder with config.json, tokenizer.json and model.safetensors");
    default:
      return chosen?.value;
  }
}

/** List what was declined; what is chosen may be offered again. */
export async function listRejections(server: Pick<Server, "request">): Promise<void> {
  const { rejections } = await server.request("falcon/rejections", {});
  if (rejections.length === 0) {
    await showInfo("Nothing was declined.");
    return;
  }
  const chosen = await pick(rejections.map(declined), "Declined: choose one to have it offered again");
  if (chosen !== undefined) {
    const answer: Requests["falcon/forgive"]["result"] = await server.request("falcon/forgive", {
      id: chosen.id,
    });
    await showInfo(answer?.message ?? "It may be offered again.");
  }
}

function declined({ id, path, text, until, blocks, never }: Rejection) {
  const kept = never ? "for good" : `until ${new Date(until * 1000).toLocaleDateString()}`;
  const detail = blocks ? `kept away ${kept}` : "offered again";
  return { id, label: text.trim().split("\n")[0] ?? "", description: path, detail };
}

/** List why nothing was suggested, with what to do about it. */
export async function listReasons(status: Status): Promise<void> {
  const reasons = newestFirst(status.reasons ?? []);
  if (reasons.length === 0) {
    await showInfo(status.message || "No request has gone without a suggestion yet.");
    return;
  }
  await pick(reasons.map(explained), "Why there was no suggestion, newest first");
}

/** A reason as an entry of a list: what it was, when and how often, and what to do about it. */
function explained({ time, reason, detail, language, times = 1, advice }: Reason) {
  const when = new Date(time * 1000).toLocaleTimeString();
  const often = times > 1 ? `${times} times` : "";
  return {
    label: reason,
    description: [detail, language, often, when].filter(Boolean).join(" · "),
    detail: advice ?? "",
  };
}

function marked(label: string, current: boolean): string {
  return current ? `$(check) ${label}` : label;
}
