// Stands in for the compiled logger of VS Code, @vscode/spdlog: the same lines, written at once.
//
// The real one needs a compiler when it is installed; without any, VS Code writes no logs, and the
// tests could not see whether the extension host has met an error.

const { appendFileSync, mkdirSync } = require("node:fs");
const { dirname } = require("node:path");

const LEVELS = ["trace", "debug", "info", "warning", "error", "critical"];

class Logger {
  #file;
  #level = LEVELS.indexOf("info");
  #formatted = true;

  constructor(_type, _name, file) {
    this.#file = file;
  }

  #write(level, message) {
    if (LEVELS.indexOf(level) >= this.#level) {
      const time = new Date().toISOString().replace("T", " ").replace("Z", "");
      appendFileSync(this.#file, this.#formatted ? `${time} [${level}] ${message}\n` : message);
    }
  }

  trace(message) { this.#write("trace", message); }
  debug(message) { this.#write("debug", message); }
  info(message) { this.#write("info", message); }
  warn(message) { this.#write("warning", message); }
  error(message) { this.#write("error", message); }
  critical(message) { this.#write("critical", message); }
  getLevel() { return this.#level; }
  setLevel(level) { this.#level = level; }
  setPattern() { this.#formatted = true; }
  clearFormatters() { this.#formatted = false; }
  flush() {}
  drop() {}
}

async function create(name, file) {
  mkdirSync(dirname(file), { recursive: true });
  return new Logger("rotating", name, file);
}

// Set one by one: this is how a module that imports them learns their names.
exports.version = 1;
exports.setLevel = () => undefined;
exports.setFlushOn = () => undefined;
exports.Logger = Logger;
exports.createRotatingLogger = create;
exports.createAsyncRotatingLogger = create;
