// The stand for the tests of one file, and the clients as their documentation says to make them: with a base URL and a key.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { after } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

// Long enough for a slow machine, short enough to end a wait that cannot succeed.
export const PATIENCE = 10_000;

// Nothing of the environment may lead a client elsewhere.
for (const name of Object.keys(process.env)) {
  if (/^(OPENAI|ANTHROPIC|AI_SDK)_/.test(name) || /_proxy$/i.test(name)) delete process.env[name];
}

/** Starts the stand; it ends with the tests of the file. */
export async function start() {
  const program = fileURLToPath(new URL("../stand.py", import.meta.url));
  const child = spawn("python3", ["-B", program], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  after(async () => {
    child.stdin.end();
    assert.equal(await ended, 0, "the gateway or the simulator did not live through the tests; the reason is above");
  });
  const line = await new Promise((resolve, reject) => {
    let text = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (piece) => {
      text += piece;
      if (text.includes("\n")) resolve(text);
    });
    child.once("close", () => reject(new Error("the stand did not start; it says above why")));
  });
  return new Stand(JSON.parse(line));
}

/** Where the gateway and the simulator are, and what the simulator saw. */
class Stand {
  constructor({ gateway, sim, key, operations, signed, withoutLimitOnCalls }) {
    this.gateway = gateway;
    this.base = `${gateway}/v1`;
    this.key = key;
    // By what clients ask for: the models that lead to each wire which answers it.
    this.over = operations;
    // Wires that prove thoughts by signatures.
    this.signed = signed;
    // Wires without a way to forbid parallel calls.
    this.withoutLimitOnCalls = withoutLimitOnCalls;
    this.sim = sim;
  }

  /** The model of the wire's route that leaves out what the wire has no place for. */
  leavingOut(wire) {
    return `${wire}-leaving-out`;
  }

  /** The requests with this mark as the simulator saw them, oldest first. */
  async seen(mark) {
    const answer = await fetch(`${this.sim}/sim/requests`);
    const requests = await answer.json();
    return requests.filter((request) => request.headers["x-sim-key"] === mark);
  }

  /** Waits until the only request with this mark has ended so. */
  async waitForOutcome(mark, outcome) {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const outcomes = (await this.seen(mark)).map((request) => request.outcome);
      if (outcomes.length === 1 && outcomes[0] === outcome) return;
      assert.ok(Date.now() < deadline, `requests ended as ${outcomes} and not as ${outcome}`);
      await pause(20);
    }
  }
}

/** Headers that have the provider fail in a way, marked so that faults and traces of each test are its own. */
export function fault(text, mark = randomUUID()) {
  return { "x-sim-fault": text, "x-sim-key": mark };
}

/** How many words a text has: the simulator's tokens are words. */
export function words(text) {
  return text.split(/\s+/).filter(Boolean).length;
}
