/** The real binary with the embedded and a small second model, on a port of its own; it can be lost and come back. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** `$SPADEWORK_BIN`, else what cargo has built or builds now. */
export function binary() {
  if (process.env.SPADEWORK_BIN) return process.env.SPADEWORK_BIN;
  const built = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug", "spadework");
  const made = spawnSync("cargo", ["build", "--quiet", "-p", "spadework-service"], { cwd: root, stdio: "inherit" });
  if (made.status !== 0 || !existsSync(built)) throw new Error("cargo build failed; or set SPADEWORK_BIN");
  return built;
}

export class Server {
  /** @param {string} program */
  constructor(program) {
    this.program = program;
    this.folder = mkdtempSync(join(tmpdir(), "spadework-browser-"));
    this.models = join(this.folder, "models");
    const file = (/** @type {string} */ name) => join(root, "tests/reference/checkpoints", name);
    const args = ["import", "--weights", file("hook_zip.pth"), "--encoder", file("encoder_zip.pth")];
    const made = spawnSync(program, [...args, "--options", file("opt.txt"), "--out", join(this.models, "tiny")]);
    if (made.status !== 0) throw new Error(String(made.stderr));
    /** @type {import("node:child_process").ChildProcess | null} */
    this.process = null;
    this.address = "127.0.0.1:0";
  }

  get url() {
    return `http://${this.address}`;
  }

  /** Starts it, again on the same port once it has one, and waits until it is ready. */
  async start() {
    const args = ["serve", "--listen", this.address, "--models", this.models, "--default-model", "landscape", "--lame-duck", "0s"];
    const started = spawn(this.program, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.process = started;
    const lines = createInterface({ input: /** @type {import("node:stream").Readable} */ (started.stderr) });
    await new Promise((resolve, reject) => {
      lines.on("line", (line) => {
        const found = line.match(/listening on http:\/\/([\d.:]+)/);
        if (found) this.address = found[1];
        if (/ ready /.test(line)) resolve(undefined);
      });
      started.on("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    });
    started.removeAllListeners("exit");
  }

  /** Kills it, as a crash would. */
  async lose() {
    const gone = this.process;
    this.process = null;
    if (!gone) return;
    const ended = once(gone, "exit");
    gone.kill("SIGKILL");
    await ended;
  }

  async stop() {
    await this.lose();
    rmSync(this.folder, { recursive: true });
  }
}
