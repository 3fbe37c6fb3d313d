// `@anthropic-ai/sdk` for Node: messages, streams, tools, structured output, thinking, errors, retries and cancellation.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

import { PATIENCE, fault, start, words } from "./stand.js";

const stand = await start();
// It adds the path of the API itself.
const options = { baseURL: stand.gateway, apiKey: stand.key, maxRetries: 0, timeout: PATIENCE };
const client = new Anthropic(options);
const patient = new Anthropic({ ...options, maxRetries: 1 });

const hello = [{ role: "user", content: "Say hello." }];
const named = (name) => ({
  name,
  description: `Tells the ${name}.`,
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
});
const tools = [named("weather"), named("clock")];
// Has the simulator call two tools at once.
const both = [{ role: "user", content: "Weather and time in Bern? [[sim:calls=2]]" }];
const Forecast = z.object({ city: z.string(), degrees: z.array(z.number()) });

const textOf = ({ content }) => content.filter((block) => block.type === "text").map((block) => block.text).join("");
const callsOf = ({ content }) => content.filter((block) => block.type === "tool_use");

test("an unknown model is not found", async () => {
  const request = { model: "no-such-model", messages: hello, max_tokens: 9 };
  await assert.rejects(client.messages.create(request), Anthropic.NotFoundError);
});

test("the client waits as long as retry-after says before it tries again", async () => {
  const mark = randomUUID();
  const began = Date.now();
  const request = { model: "anthropic", messages: hello, max_tokens: 9 };
  assert.ok(textOf(await patient.messages.create(request, { headers: fault("429;retry-after=1,ok", mark) })));
  // Without the header the client would wait for half a second at most.
  assert.ok(Date.now() - began >= 990);
  assert.deepEqual((await stand.seen(mark)).map((request) => request.status), [429, 200]);
});

for (const wire of stand.over.messages) {
  const base = { model: wire, messages: hello, max_tokens: 1000 };
  const ask = (client, headers, more = {}) => client.messages.create({ ...base, ...more }, { headers });

  test(`${wire}: a message is answered with text and usage`, async () => {
    const answer = await client.messages.create({ ...base, system: "Be brief." });
    assert.equal(answer.stop_reason, "end_turn");
    assert.equal(answer.usage.output_tokens, words(textOf(answer)));
    assert.ok(answer.usage.input_tokens > 0);
  });

  test(`${wire}: the stream helper brings text in pieces and puts the answer together`, async () => {
    const stream = client.messages.stream({ ...base, max_tokens: 8 });
    const pieces = [];
    stream.on("text", (piece) => pieces.push(piece));
    const answer = await stream.finalMessage();
    assert.ok(pieces.length > 1);
    assert.equal(pieces.join(""), textOf(answer));
    assert.equal(answer.stop_reason, "max_tokens");
    assert.equal(answer.usage.output_tokens, 8);
  });

  for (const stream of [false, true]) {
    test(`${wire}: two tools are called at once and their results lead to the answer${stream ? ", streaming" : ""}`, async () => {
      const send = (request) =>
        stream ? client.messages.stream(request).finalMessage() : client.messages.create(request);
      const first = await send({ ...base, messages: both, tools });
      assert.equal(first.stop_reason, "tool_use");
      assert.deepEqual(callsOf(first).map((call) => call.name), ["weather", "clock"]);
      const results = callsOf(first).map((call) => {
        assert.equal(typeof call.input.city, "string");
        return { type: "tool_result", tool_use_id: call.id, content: `From ${call.name}.` };
      });
      // Some wires put results into messages of their own: the text ends what the simulator was told above.
      const content = [...results, { type: "text", text: "In short?" }];
      const messages = [...both, { role: "assistant", content: first.content }, { role: "user", content }];
      const second = await send({ ...base, messages, tools });
      assert.equal(second.stop_reason, "end_turn");
      assert.ok(textOf(second));
    });
  }

  test(`${wire}: structured output is parsed into its type`, async () => {
    const answer = await client.messages.parse({ ...base, output_config: { format: zodOutputFormat(Forecast) } });
    assert.ok(Forecast.safeParse(answer.parsed_output).success);
  });

  test(`${wire}: thinking comes with its signature and is taken back`, async () => {
    const thinking = { type: "enabled", budget_tokens: 1024 };
    const first = await client.messages.stream({ ...base, max_tokens: 4000, thinking }).finalMessage();
    const [thought] = first.content.filter((block) => block.type === "thinking");
    assert.ok(thought.thinking);
    assert.equal(Boolean(thought.signature), stand.signed.includes(wire));
    const messages = [...hello, { role: "assistant", content: first.content }, { role: "user", content: "Again." }];
    const second = await client.messages.create({ ...base, messages, max_tokens: 4000, thinking });
    assert.ok(textOf(second));
  });

  test(`${wire}: tokens are counted without an answer`, async () => {
    const little = await client.messages.countTokens({ model: wire, messages: hello });
    const more = await client.messages.countTokens({ model: wire, messages: hello, tools });
    assert.ok(0 < little.input_tokens && little.input_tokens < more.input_tokens);
  });

  test(`${wire}: the models are those of the routes in the client's own form`, async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes(wire));
    assert.equal((await client.models.retrieve(wire)).type, "model");
  });

  test(`${wire}: a wrong key is an authentication error`, async () => {
    await assert.rejects(ask(new Anthropic({ ...options, apiKey: "twk-wrong" })), Anthropic.AuthenticationError);
  });

  const errors = [
    [400, Anthropic.BadRequestError],
    [403, Anthropic.PermissionDeniedError],
    [429, Anthropic.RateLimitError],
    [500, Anthropic.InternalServerError],
    [529, Anthropic.InternalServerError],
  ];
  for (const [status, kind] of errors) {
    for (const stream of [false, true]) {
      test(`${wire}: ${status} of the provider is the client's error for it${stream ? ", streaming" : ""}`, async () => {
        await assert.rejects(ask(client, fault(String(status)), { stream }), (error) => {
          assert.ok(error instanceof kind);
          assert.equal(error.status, status);
          assert.ok(error.error?.error?.message);
          assert.ok(error.requestID);
          return true;
        });
      });
    }
  }

  for (const text of ["error;after=3", "reset;after=3", "close;after=3"]) {
    test(`${wire}: a stream that fails in its middle raises after what came (${text})`, async () => {
      let came = "";
      await assert.rejects(async () => {
        for await (const event of await ask(client, fault(text), { stream: true })) {
          if (event.type === "content_block_delta") came += event.delta.text;
        }
      }, Anthropic.APIError);
      assert.equal(words(came), 3);
    });
  }

  test(`${wire}: a timeout of the client ends the request at the provider`, async () => {
    const mark = randomUUID();
    const hasty = new Anthropic({ ...options, timeout: 300 });
    await assert.rejects(ask(hasty, fault("hang", mark)), Anthropic.APIConnectionTimeoutError);
    await stand.waitForOutcome(mark, "cancelled");
  });

  test(`${wire}: a stream that the client leaves ends at the provider`, async () => {
    const mark = randomUUID();
    for await (const event of await ask(client, fault("hang;after=3", mark), { stream: true })) {
      assert.equal(event.type, "message_start");
      break;
    }
    await stand.waitForOutcome(mark, "cancelled");
  });
}
