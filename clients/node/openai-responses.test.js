// `openai` for Node: responses. They are stateless here: what came before goes with each request.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { PATIENCE, fault, start, words } from "./stand.js";

const stand = await start();
const client = new OpenAI({ baseURL: stand.base, apiKey: stand.key, maxRetries: 0, timeout: PATIENCE });

const named = (name) => ({
  type: "function",
  name,
  description: `Tells the ${name}.`,
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
  strict: true,
});
const tools = [named("weather"), named("clock")];
// Has the simulator call two tools at once.
const both = [{ role: "user", content: "Weather and time in Bern? [[sim:calls=2]]" }];
const Forecast = z.object({ city: z.string(), degrees: z.array(z.number()) });

for (const wire of stand.over.responses) {
  const base = { model: wire, input: "Say hello.", store: false };

  test(`${wire}: a response is answered with text and usage`, async () => {
    const answer = await client.responses.create({ ...base, instructions: "Be brief." });
    assert.equal(answer.status, "completed");
    assert.equal(answer.usage.output_tokens, words(answer.output_text));
  });

  test(`${wire}: the stream helper puts the response together`, async () => {
    const stream = client.responses.stream(base);
    const pieces = [];
    stream.on("response.output_text.delta", ({ delta }) => pieces.push(delta));
    const answer = await stream.finalResponse();
    assert.ok(pieces.length > 1);
    assert.equal(pieces.join(""), answer.output_text);
    assert.ok(answer.usage.output_tokens > 0);
  });

  test(`${wire}: two tools are called at once and their results lead to the answer`, async () => {
    const first = await client.responses.create({ ...base, input: both, tools });
    const calls = first.output.filter((item) => item.type === "function_call");
    assert.deepEqual(calls.map((call) => call.name), ["weather", "clock"]);
    const results = calls.map(({ call_id, name }) => ({ type: "function_call_output", call_id, output: `From ${name}.` }));
    // The last message ends what the simulator was told by the first one.
    const input = [...both, ...first.output, ...results, { role: "user", content: "In short?" }];
    const second = await client.responses.create({ ...base, input, tools });
    assert.ok(second.output_text);
  });

  test(`${wire}: structured output is parsed into its type`, async () => {
    const answer = await client.responses.parse({ ...base, text: { format: zodTextFormat(Forecast, "forecast") } });
    assert.ok(Forecast.safeParse(answer.output_parsed).success);
  });

  test(`${wire}: an error of the provider is the client's error for it`, async () => {
    const errors = [
      [400, OpenAI.BadRequestError],
      [429, OpenAI.RateLimitError],
      [500, OpenAI.InternalServerError],
    ];
    for (const [status, kind] of errors) {
      for (const stream of [false, true]) {
        const headers = fault(String(status));
        await assert.rejects(client.responses.create({ ...base, stream }, { headers }), kind);
      }
    }
  });

  test(`${wire}: a stream that the client leaves ends at the provider`, async () => {
    const mark = randomUUID();
    const stream = await client.responses.create({ ...base, stream: true }, { headers: fault("hang;after=3", mark) });
    for await (const event of stream) {
      assert.equal(event.type, "response.created");
      break;
    }
    await stand.waitForOutcome(mark, "cancelled");
  });
}
