// `openai` for Node: chat completions, completions, embeddings and models.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

import { PATIENCE, start, words } from "./stand.js";

const stand = await start();
// It does not retry, so that tests see what came.
const client = new OpenAI({ baseURL: stand.base, apiKey: stand.key, maxRetries: 0, timeout: PATIENCE });
const messages = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Say hello." },
];

for (const wire of stand.over.chat) {
  test(`${wire}: a chat is answered with text and usage`, async () => {
    const answer = await client.chat.completions.create({ model: wire, messages });
    const [choice] = answer.choices;
    assert.equal(choice.message.role, "assistant");
    assert.equal(choice.finish_reason, "stop");
    assert.equal(answer.usage.completion_tokens, words(choice.message.content));
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  });

  test(`${wire}: a stream brings the text in pieces and usage at its end`, async () => {
    const stream = await client.chat.completions.create({
      model: wire,
      messages,
      max_tokens: 8,
      stream: true,
      stream_options: { include_usage: true },
    });
    const pieces = [];
    let last;
    for await (const chunk of stream) {
      pieces.push(chunk.choices[0]?.delta.content ?? "");
      last = chunk;
    }
    assert.ok(pieces.length > 2);
    assert.equal(words(pieces.join("")), 8);
    assert.deepEqual(last.choices, []);
    assert.equal(last.usage.completion_tokens, 8);
  });

  test(`${wire}: the stream helper puts the answer together`, async () => {
    const stream = client.chat.completions.stream({ model: wire, messages });
    const pieces = [];
    stream.on("content", (piece) => pieces.push(piece));
    const text = await stream.finalContent();
    assert.ok(pieces.length > 1);
    assert.equal(pieces.join(""), text);
  });
}

for (const wire of stand.over.completions) {
  test(`${wire}: a completion is answered`, async () => {
    const answer = await client.completions.create({ model: wire, prompt: "Once upon a time", max_tokens: 5 });
    assert.equal(words(answer.choices[0].text), 5);
    assert.equal(answer.choices[0].finish_reason, "length");
  });

  test(`${wire}: a completion streams`, async () => {
    const stream = await client.completions.create({ model: wire, prompt: "Once", max_tokens: 5, stream: true });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0].text;
    assert.equal(words(text), 5);
  });
}

for (const wire of stand.over.embeddings) {
  for (const encoding of [undefined, "float", "base64"]) {
    test(`${wire}: embeddings are vectors, encoded as ${encoding ?? "the client likes"}`, async () => {
      const wish = encoding ? { encoding_format: encoding } : {};
      const answer = await client.embeddings.create({ model: wire, input: ["a red apple", "a red pear"], ...wish });
      assert.deepEqual(answer.data.map((item) => item.index), [0, 1]);
      for (const { embedding } of answer.data) {
        if (encoding === "base64") assert.equal(typeof embedding, "string");
        else assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 1e-3);
      }
    });
  }
}

for (const wire of stand.over.chat) {
  test(`${wire}: the models are those of the routes`, async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes(wire));
    assert.equal((await client.models.retrieve(wire)).id, wire);
  });
}
