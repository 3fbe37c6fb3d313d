// The snippets of docs/clients.md, run as they stand there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { start } from "./stand.js";

const stand = await start();
const page = await readFile(new URL("../../docs/clients.md", import.meta.url), "utf8");
const snippets = [...page.matchAll(/^## (.+?)$|^```js run\n(.*?)^```$/gms)];

let title = "";
let count = 0;
for (const [, heading, text] of snippets) {
  title = heading ?? title;
  if (!text) continue;
  count += 1;
  test(`the snippet of ${title} runs and prints an answer`, async () => {
    assert.ok(text.includes("http://127.0.0.1:8080"));
    // Beside the tests, where its modules are found.
    const folder = await mkdtemp(fileURLToPath(new URL(".snippet-", import.meta.url)));
    try {
      const program = join(folder, "snippet.mjs");
      await writeFile(program, text.replaceAll("http://127.0.0.1:8080", stand.gateway));
      const env = { ...process.env, TOKENWEIR_API_KEY: stand.key };
      const { stdout } = await promisify(execFile)(process.execPath, [program], { env, timeout: 60_000 });
      assert.ok(stdout.trim());
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}

test("the page has snippets", () => assert.ok(count >= 2));
