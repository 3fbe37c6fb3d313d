// `openai` for Node: tools and structured output.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { PATIENCE, start } from "./stand.js";

const stand = await start();
const client = new OpenAI({ baseURL: stand.base, apiKey: stand.key, maxRetries: 0, timeout: PATIENCE });

const named = (name) => ({
  type: "function",
  function: {
    name,
    description: `Tells the ${name}.`,
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
});
const tools = [named("weather"), named("clock")];
// Has the simulator call two tools at once.
const ask = [{ role: "user", content: "Weather and time in Bern? [[sim:calls=2]]" }];
const Forecast = z.object({ city: z.string(), sky: z.enum(["clear", "grey"]), degrees: z.array(z.number()) });

for (const wire of stand.over.chat) {
  test(`${wire}: two tools are called at once and both results lead to the answer`, async () => {
    const first = await client.chat.completions.create({ model: wire, messages: ask, tools });
    const { message, finish_reason } = first.choices[0];
    assert.equal(finish_reason, "tool_calls");
    assert.deepEqual(message.tool_calls.map((call) => call.function.name), ["weather", "clock"]);
    const results = message.tool_calls.map((call) => {
      assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
      return { role: "tool", tool_call_id: call.id, content: `From ${call.function.name}.` };
    });
    // The last message ends what the simulator was told by the first one.
    const messages = [...ask, message, ...results, { role: "user", content: "In short?" }];
    const second = await client.chat.completions.create({ model: wire, messages, tools });
    assert.equal(second.choices[0].finish_reason, "stop");
    assert.ok(second.choices[0].message.content);
  });

  test(`${wire}: the stream helper puts calls together`, async () => {
    const stream = client.chat.completions.stream({ model: wire, messages: ask, tools });
    const { message } = (await stream.finalChatCompletion()).choices[0];
    assert.deepEqual(message.tool_calls.map((call) => call.function.name), ["weather", "clock"]);
    for (const call of message.tool_calls) assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
  });

  test(`${wire}: the client runs a tool itself`, async () => {
    const cities = [];
    const runner = client.chat.completions.runTools({
      model: wire,
      messages: [{ role: "user", content: "Weather?" }],
      // With a chosen function the client ends after its call.
      tool_choice: { type: "function", function: { name: "weather" } },
      tools: [
        {
          type: "function",
          function: {
            ...named("weather").function,
            parse: JSON.parse,
            function: ({ city }) => {
              cities.push(city);
              return "Snow.";
            },
          },
        },
      ],
    });
    await runner.done();
    assert.equal(cities.length, 1);
    assert.equal(typeof cities[0], "string");
  });

  test(`${wire}: structured output is parsed into its type`, async () => {
    const answer = await client.chat.completions.parse({
      model: wire,
      messages: [{ role: "user", content: "How will it be in Bern?" }],
      response_format: zodResponseFormat(Forecast, "forecast"),
    });
    assert.ok(Forecast.safeParse(answer.choices[0].message.parsed).success);
  });

  test(`${wire}: arguments of a tool are parsed into their type`, async () => {
    const answer = await client.chat.completions.parse({
      model: wire,
      messages: [{ role: "user", content: "How will it be in Bern?" }],
      tools: [zodFunction({ name: "forecast", parameters: Forecast })],
      tool_choice: "required",
    });
    const [call] = answer.choices[0].message.tool_calls;
    assert.ok(Forecast.safeParse(call.function.parsed_arguments).success);
  });
}
