/**
 * The learning report's script: it shows what the extension sends, and sends what is pressed.
 *
 * It knows nothing of what buttons do: all that they carry in `data-*` goes to the extension.
 */

/** What the extension sends. */
interface Content {
  readonly html: string;
  /** What was done; read out by screen readers. */
  readonly said: string;
}

declare function acquireVsCodeApi(): { postMessage(message: unknown): void };

const extension = acquireVsCodeApi();

function show({ html, said }: Content): void {
  const main = document.querySelector("main");
  const status = document.querySelector("#said");
  if (main === null || status === null) {
    return;
  }
  const focused = document.activeElement?.id ?? "";
  const opened = [...document.querySelectorAll("details")].map(({ open }) => open);
  main.innerHTML = html;
  document.querySelectorAll("details").forEach((each, n) => (each.open = opened[n] ?? false));
  if (focused !== "") {
    // What was pressed may be gone, with what it was about: then go on from the top.
    (document.getElementById(focused) ?? main).focus({ preventScroll: true });
  }
  status.textContent = said;
}

document.addEventListener("click", ({ target }) => {
  const button = target instanceof Element ? target.closest("button[data-action]") : null;
  if (button instanceof HTMLElement) {
    extension.postMessage({ ...button.dataset });
  }
});

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const search = document.querySelector<HTMLInputElement>("#search")?.value ?? "";
  extension.postMessage({ action: "search", search });
});

window.addEventListener("message", ({ data }: MessageEvent<Content>) => show(data));

extension.postMessage({ action: "ready" });
