// The Vercel AI SDK with its providers for OpenAI and Anthropic.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, Output, embedMany, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { fault, start, words } from "./stand.js";

const stand = await start();
const openai = createOpenAI({ baseURL: stand.base, apiKey: stand.key });
const anthropic = createAnthropic({ baseURL: stand.base, apiKey: stand.key });
// By what each of them asks the gateway for.
const models = { chat: openai.chat, responses: openai.responses, messages: anthropic };
const pairs = Object.entries(models).flatMap(([operation, model]) => stand.over[operation].map((wire) => [operation, wire, model]));

const city = z.object({ city: z.string() });
const tools = {
  weather: tool({ description: "Tells the weather.", inputSchema: city, execute: async ({ city }) => `Snow in ${city}.` }),
  clock: tool({ description: "Tells the time.", inputSchema: city, execute: async ({ city }) => `Noon in ${city}.` }),
};
// The first step calls a tool, the second one answers.
const loop = {
  tools,
  stopWhen: stepCountIs(3),
  prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "auto" }),
};
// One step that the simulator is told to call two tools in.
const both = { tools, prompt: "Both, please. [[sim:calls=2]]" };
const forecast = z.object({ city: z.string(), sky: z.enum(["clear", "grey"]), degrees: z.number() });

test("the SDK tries again after as long as retry-after says", async () => {
  const began = Date.now();
  const request = { model: openai.chat("openai"), prompt: "Hello", maxRetries: 1 };
  assert.ok((await generateText({ ...request, headers: fault("429;retry-after=1,ok") })).text);
  assert.ok(Date.now() - began >= 990);
});

for (const [operation, wire, dialect] of pairs) {
  const model = dialect(wire);
  // Without a limit the SDK asks Anthropic's models for the most that it knows of, and warns of those that it does not know.
  // Responses are kept nowhere, so that references to earlier ones would lead to nothing.
  const providerOptions = { openai: { store: false, include: ["reasoning.encrypted_content"] } };
  const base = { model, maxOutputTokens: 1000, ...(operation === "responses" && { providerOptions }) };
  // For models of Anthropic that it does not know, the SDK wants a schema's instance as a call, and forbids a second one.
  const leavesOut = operation === "messages" && stand.withoutLimitOnCalls.includes(wire);
  const structured = { ...base, model: leavesOut ? dialect(stand.leavingOut(wire)) : model, prompt: "Bern?" };

  test(`${operation} over ${wire}: text is generated`, async () => {
    const { text, usage, finishReason } = await generateText({ ...base, prompt: "Say hello." });
    assert.equal(finishReason, "stop");
    assert.equal(usage.outputTokens, words(text));
  });

  test(`${operation} over ${wire}: text streams`, async () => {
    const { textStream, usage } = streamText({ ...base, prompt: "Say hello." });
    const pieces = [];
    for await (const piece of textStream) pieces.push(piece);
    assert.ok(pieces.length > 1);
    assert.equal((await usage).outputTokens, words(pieces.join("")));
  });

  test(`${operation} over ${wire}: a tool is called and its result leads to the answer`, async () => {
    const { steps, text } = await generateText({ ...base, prompt: "The weather?", ...loop });
    assert.deepEqual(steps.map((step) => step.toolResults.length), [1, 0]);
    assert.ok(text);
  });

  test(`${operation} over ${wire}: two tools are called at once`, async () => {
    const { toolResults } = await generateText({ ...base, ...both });
    assert.deepEqual(toolResults.map((result) => result.toolName), ["weather", "clock"]);
  });

  test(`${operation} over ${wire}: two tools are called in a stream`, async () => {
    const result = streamText({ ...base, ...both });
    const seen = [];
    for await (const part of result.fullStream) {
      if (part.type === "tool-result") seen.push(part.toolName);
      assert.notEqual(part.type, "error");
    }
    assert.deepEqual(seen.sort(), ["clock", "weather"]);
  });

  test(`${operation} over ${wire}: structured output is an instance of its type`, async () => {
    const { output } = await generateText({ ...structured, output: Output.object({ schema: forecast }) });
    assert.ok(forecast.safeParse(output).success);
  });

  test(`${operation} over ${wire}: structured output streams`, async () => {
    const result = streamText({ ...structured, output: Output.object({ schema: forecast }) });
    assert.ok(forecast.safeParse(await result.output).success);
  });

  test(`${operation} over ${wire}: an error of the provider tells its status and whether another try may help`, async () => {
    for (const [status, again] of [[400, false], [429, true], [500, true]]) {
      const request = { ...base, prompt: "Hello", maxRetries: 0, headers: fault(String(status)) };
      await assert.rejects(generateText(request), (error) => {
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, status);
        assert.equal(error.isRetryable, again);
        return true;
      });
    }
  });

  test(`${operation} over ${wire}: a stream that fails in its middle tells so after what came`, async () => {
    const errors = [];
    const result = streamText({
      ...base,
      prompt: "Hello",
      maxRetries: 0,
      headers: fault("reset;after=3"),
      onError: ({ error }) => errors.push(error),
    });
    const parts = [];
    for await (const part of result.fullStream) parts.push(part.type);
    assert.equal(parts.filter((type) => type === "text-delta").length, 3);
    assert.ok(parts.includes("error"));
    assert.equal(errors.length, 1);
  });
}

for (const wire of stand.over.embeddings) {
  test(`embeddings over ${wire}: embeddings are vectors`, async () => {
    const values = ["a red apple", "a red pear"];
    const { embeddings } = await embedMany({ model: openai.embedding(wire), values });
    assert.equal(embeddings.length, 2);
    for (const vector of embeddings) assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-3);
  });
}
