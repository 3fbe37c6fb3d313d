"""`openai` for Python: chat completions."""

import asyncio

import openai
import pytest

pytestmark = pytest.mark.over("chat")

HELLO = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]


def test_a_chat_is_answered_with_text_and_usage(client, wire):
    answer = client.chat.completions.create(model=wire, messages=HELLO)
    choice = answer.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "stop"
    assert answer.usage.completion_tokens == len(choice.message.content.split())
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_limit_on_tokens_cuts_the_answer(client, wire):
    answer = client.chat.completions.create(model=wire, messages=HELLO, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


def test_a_stream_brings_the_text_in_pieces_and_usage_at_its_end(client, wire):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model=wire, messages=HELLO, max_tokens=8, stream=True, stream_options=options))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 1
    assert len("".join(pieces).split()) == 8
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage.completion_tokens == 8
    assert chunks[-1].choices == []


def test_a_stream_without_a_wish_for_usage_has_none(client, wire):
    chunks = list(client.chat.completions.create(model=wire, messages=HELLO, max_tokens=8, stream=True))
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices


def test_the_stream_helper_puts_the_answer_together(client, wire):
    with client.chat.completions.stream(model=wire, messages=HELLO) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        answer = stream.get_final_completion()
    assert "".join(pieces) == answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"


def test_the_asynchronous_client_streams_many_chats_at_once(stand, wire):
    async def one(client):
        pieces = []
        async for chunk in await client.chat.completions.create(model=wire, messages=HELLO, max_tokens=8, stream=True):
            # Azure's streams begin with what its filters found, without a choice.
            pieces += [choice.delta.content or "" for choice in chunk.choices]
        return "".join(pieces)

    async def many():
        async with openai.AsyncOpenAI(base_url=stand.base, api_key=stand.key, max_retries=0) as client:
            return await asyncio.gather(*(one(client) for _ in range(16)))

    texts = asyncio.run(many())
    assert len(texts) == 16
    assert all(len(text.split()) == 8 for text in texts)
