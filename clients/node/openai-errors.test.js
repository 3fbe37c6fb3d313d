// `openai` for Node: errors as its exceptions, its own retries, timeouts and cancellation.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import OpenAI from "openai";

import { PATIENCE, fault, start, words } from "./stand.js";

const stand = await start();
const options = { baseURL: stand.base, apiKey: stand.key, maxRetries: 0, timeout: PATIENCE };
const client = new OpenAI(options);
const patient = new OpenAI({ ...options, maxRetries: 1 });
const messages = [{ role: "user", content: "Say hello." }];

test("an unknown model is not found", async () => {
  await assert.rejects(client.chat.completions.create({ model: "no-such-model", messages }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    return true;
  });
});

test("a request without a model is bad", async () => {
  await assert.rejects(client.chat.completions.create({ model: "", messages }), OpenAI.BadRequestError);
});

for (const [text, statuses, least] of [
  // Without the header the client would wait for half a second at most.
  ["429;retry-after=1,ok", [429, 200], 990],
  ["500,ok", [500, 200], 0],
]) {
  test(`the client tries again, and waits as long as retry-after says (${text})`, async () => {
    const mark = randomUUID();
    const began = Date.now();
    const answer = await patient.chat.completions.create({ model: "openai", messages }, { headers: fault(text, mark) });
    assert.ok(answer.choices[0].message.content);
    assert.ok(Date.now() - began >= least);
    assert.deepEqual((await stand.seen(mark)).map((request) => request.status), statuses);
  });
}

for (const wire of stand.over.chat) {
  const chat = (client, headers, more = {}) =>
    client.chat.completions.create({ model: wire, messages, ...more }, { headers });

  test(`${wire}: a wrong key is an authentication error`, async () => {
    await assert.rejects(chat(new OpenAI({ ...options, apiKey: "twk-wrong" })), (error) => {
      assert.ok(error instanceof OpenAI.AuthenticationError);
      assert.equal(error.code, "invalid_api_key");
      return true;
    });
  });

  const errors = [
    [400, OpenAI.BadRequestError],
    [403, OpenAI.PermissionDeniedError],
    [422, OpenAI.UnprocessableEntityError],
    [429, OpenAI.RateLimitError],
    [500, OpenAI.InternalServerError],
    [503, OpenAI.InternalServerError],
  ];
  for (const [status, kind] of errors) {
    for (const stream of [false, true]) {
      test(`${wire}: ${status} of the provider is the client's error for it${stream ? ", streaming" : ""}`, async () => {
        await assert.rejects(chat(client, fault(String(status)), { stream }), (error) => {
          assert.ok(error instanceof kind);
          assert.equal(error.status, status);
          assert.ok(error.error?.message);
          assert.ok(error.requestID);
          return true;
        });
      });
    }
  }

  for (const text of ["error;after=3", "reset;after=3", "close;after=3"]) {
    test(`${wire}: a stream that fails in its middle raises after what came (${text})`, async () => {
      let came = "";
      await assert.rejects(
        async () => {
          for await (const chunk of await chat(client, fault(text), { stream: true })) {
            for (const choice of chunk.choices) came += choice.delta.content ?? "";
          }
        },
        (error) => {
          assert.ok(error instanceof OpenAI.APIError);
          assert.ok(error.message);
          return true;
        },
      );
      assert.equal(words(came), 3);
    });
  }

  test(`${wire}: a timeout of the client ends the request at the provider`, async () => {
    const mark = randomUUID();
    await assert.rejects(
      chat(new OpenAI({ ...options, timeout: 300 }), fault("hang", mark)),
      OpenAI.APIConnectionTimeoutError,
    );
    await stand.waitForOutcome(mark, "cancelled");
  });

  test(`${wire}: a stream that the client aborts ends at the provider`, async () => {
    const mark = randomUUID();
    for await (const chunk of await chat(client, fault("hang;after=3", mark), { stream: true })) {
      assert.ok(chunk.id);
      break;
    }
    await stand.waitForOutcome(mark, "cancelled");
  });
}
