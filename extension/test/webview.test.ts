import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { createContext, runInContext } from "node:vm";
import script from "webview:report";

/** An element as far as the report's script looks at one. */
class Element {
  innerHTML = "";
  textContent = "";
  open = false;
  value = "";
  focused = 0;

  constructor(
    readonly id = "",
    readonly dataset: Record<string, string> = {},
  ) {}

  closest(): Element | null {
    return "action" in this.dataset ? this : null;
  }

  focus(): void {
    this.focused++;
  }
}

type Listener = (event: object) => void;

let posted: unknown[];
let listeners: Map<string, Listener>;
let main: Element;
let said: Element;
let elements: Map<string, Element>;
let details: Element[];
let active: Element | undefined;

beforeEach(() => {
  posted = [];
  listeners = new Map();
  main = new Element();
  said = new Element("said");
  elements = new Map();
  details = [];
  active = undefined;
  const addEventListener = (kind: string, listener: Listener): void =>
    void listeners.set(kind, listener);
  const document = {
    addEventListener,
    querySelector: (selector: string) =>
      ({ main, "#said": said })[selector] ?? elements.get(selector.slice(1)) ?? null,
    querySelectorAll: () => details,
    getElementById: (id: string) => elements.get(id) ?? null,
    get activeElement() {
      return active;
    },
  };
  const window = { addEventListener };
  const acquireVsCodeApi = () => ({ postMessage: (message: unknown) => posted.push(message) });
  const names = { document, window, acquireVsCodeApi, Element, HTMLElement: Element };
  runInContext(script, createContext(names));
});

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const fire = (kind: string, event: object): void => listeners.get(kind)?.(event);

test("it says that it is there", () => {
  assert.deepEqual(plain(posted), [{ action: "ready" }]);
});

test("a press on a button sends all that it carries, any other press nothing", () => {
  posted.length = 0;
  fire("click", { target: new Element("x", { action: "forget", id: "cmp-1" }) });
  fire("click", { target: new Element("y") });
  fire("click", { target: null });
  assert.deepEqual(plain(posted), [{ action: "forget", id: "cmp-1" }]);
});

test("the search is sent, and the form goes nowhere", () => {
  posted.length = 0;
  let prevented = 0;
  const field = new Element("search");
  field.value = "total";
  elements.set("search", field);
  fire("submit", { preventDefault: () => prevented++ });
  assert.deepEqual([plain(posted), prevented], [[{ action: "search", search: "total" }], 1]);
});

test("a new report keeps what was open and focused, and is announced", () => {
  active = new Element("train:now");
  const again = new Element("train:now");
  elements.set("train:now", again);
  details = [new Element(), new Element()];
  (details[1] as Element).open = true;
  fire("message", { data: { html: "<p>new</p>", said: "Done." } });
  assert.deepEqual([main.innerHTML, said.textContent], ["<p>new</p>", "Done."]);
  assert.deepEqual([again.focused, main.focused], [1, 0]);
  assert.deepEqual(
    details.map(({ open }) => open),
    [false, true],
  );
});

test("where the pressed button is gone, the focus goes to the report", () => {
  active = new Element("forget:cmp-1");
  fire("message", { data: { html: "", said: "" } });
  assert.equal(main.focused, 1);
});
