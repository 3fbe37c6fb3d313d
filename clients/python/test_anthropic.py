"""`anthropic` for Python: messages, streams, tools, structured output, thinking, and counts of tokens."""

import asyncio

import anthropic
import pydantic
import pytest
from stand import SIGNED, WITHOUT_LIMIT_ON_CALLS, leaving_out

pytestmark = pytest.mark.over("messages")

HELLO = [{"role": "user", "content": "Say hello."}]

# A picture of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def function(name, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": f"Tells the {name}.", "input_schema": schema}


TOOLS = [function("weather", city={"type": "string"}, days={"type": "integer"}), function("clock", city={"type": "string"})]
# Has the simulator call two tools at once.
ASK_BOTH = [{"role": "user", "content": "Weather and time in Bern? [[sim:calls=2]]"}]


def ask(claude, model, messages=HELLO, **more):
    return claude.messages.create(**{"model": model, "messages": messages, "max_tokens": 1000, **more})


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_message_is_answered_with_text_and_usage(claude, wire):
    answer = ask(claude, wire, system="Be brief.")
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert answer.usage.output_tokens == len(text_of(answer).split())
    assert answer.usage.input_tokens > 0


def test_a_limit_on_tokens_cuts_the_answer(claude, wire):
    answer = ask(claude, wire, max_tokens=3)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 3)


def test_a_stop_sequence_ends_the_answer(claude, wire):
    messages = [{"role": "user", "content": "[[sim:say=one two STOP three]]"}]
    assert text_of(ask(claude, wire, messages, stop_sequences=["STOP"])).strip() == "one two"


def test_the_stream_helper_brings_text_in_pieces_and_puts_the_answer_together(claude, wire):
    with claude.messages.stream(model=wire, messages=HELLO, max_tokens=8) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == text_of(answer)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 8)
    assert answer.usage.input_tokens > 0


def test_the_events_of_a_stream_come_in_their_order(claude, wire):
    events = [event.type for event in ask(claude, wire, max_tokens=3, stream=True)]
    assert events[:2] == ["message_start", "content_block_start"]
    assert events[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_the_asynchronous_client_streams_many_messages_at_once(stand, wire):
    async def one(client):
        async with client.messages.stream(model=wire, messages=HELLO, max_tokens=8) as stream:
            return await stream.get_final_text()

    async def many():
        async with anthropic.AsyncAnthropic(base_url=stand.gateway, api_key=stand.key, max_retries=0) as client:
            return await asyncio.gather(*(one(client) for _ in range(16)))

    texts = asyncio.run(many())
    assert [len(text.split()) for text in texts] == [8] * 16


def calls_of(message):
    return [block for block in message.content if block.type == "tool_use"]


def results(message):
    content = [{"type": "tool_result", "tool_use_id": call.id, "content": f"From {call.name}."} for call in calls_of(message)]
    # Some wires put results into messages of their own: the text ends what the simulator was told above.
    return {"role": "user", "content": [*content, {"type": "text", "text": "In short?"}]}


def test_two_tools_are_called_at_once_and_both_results_lead_to_the_answer(claude, wire):
    first = ask(claude, wire, ASK_BOTH, tools=TOOLS)
    assert first.stop_reason == "tool_use"
    calls = calls_of(first)
    assert [call.name for call in calls] == ["weather", "clock"]
    assert isinstance(calls[0].input["days"], int)
    conversation = [*ASK_BOTH, {"role": "assistant", "content": first.content}, results(first)]
    second = ask(claude, wire, conversation, tools=TOOLS)
    assert second.stop_reason == "end_turn"
    assert text_of(second)


@pytest.mark.parametrize(("choice", "names"), [({"type": "any"}, {"weather"}), ({"type": "tool", "name": "clock"}, {"clock"})])
def test_a_call_can_be_wanted_and_chosen(claude, wire, choice, names):
    answer = ask(claude, wire, tools=TOOLS, tool_choice=choice)
    assert {call.name for call in calls_of(answer)} == names


def test_parallel_calls_can_be_forbidden(claude, wire):
    request = {"tools": TOOLS, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    if wire in WITHOUT_LIMIT_ON_CALLS:
        with pytest.raises(anthropic.BadRequestError, match="disable_parallel_tool_use"):
            ask(claude, wire, ASK_BOTH, **request)
        assert len(calls_of(ask(claude, leaving_out(wire), ASK_BOTH, **request))) == 2
    else:
        assert len(calls_of(ask(claude, wire, ASK_BOTH, **request))) == 1


def test_calls_stream_in_pieces_that_fit_together(claude, wire):
    with claude.messages.stream(model=wire, messages=ASK_BOTH, tools=TOOLS, max_tokens=1000) as stream:
        pieces = [event for event in stream if event.type == "input_json"]
        calls = calls_of(stream.get_final_message())
    assert len(pieces) >= 2
    assert [call.name for call in calls] == ["weather", "clock"]
    assert all(isinstance(call.input["city"], str) for call in calls)


class Forecast(pydantic.BaseModel):
    city: str
    degrees: list[float]


def test_structured_output_is_parsed_into_its_model(claude, wire):
    answer = claude.messages.parse(model=wire, messages=HELLO, max_tokens=1000, output_format=Forecast)
    assert isinstance(answer.parsed_output, Forecast)


def test_thinking_comes_with_its_signature_and_is_taken_back(claude, wire):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    first = ask(claude, wire, ASK_BOTH, tools=TOOLS, max_tokens=4000, thinking=thinking)
    [thought] = [block for block in first.content if block.type == "thinking"]
    assert thought.thinking
    assert bool(thought.signature) == (wire in SIGNED)
    conversation = [*ASK_BOTH, {"role": "assistant", "content": first.content}, results(first)]
    second = ask(claude, wire, conversation, tools=TOOLS, max_tokens=4000, thinking=thinking)
    assert text_of(second)


def test_thinking_streams(claude, wire):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with claude.messages.stream(model=wire, messages=HELLO, max_tokens=4000, thinking=thinking) as stream:
        pieces = [event.thinking for event in stream if event.type == "thinking"]
        [thought] = [block for block in stream.get_final_message().content if block.type == "thinking"]
    assert "".join(pieces) == thought.thinking
    assert bool(thought.signature) == (wire in SIGNED)


def test_an_image_counts_in_the_prompt(claude, wire):
    text = {"type": "text", "text": "What is this?"}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}

    def tokens(*parts):
        return ask(claude, wire, [{"role": "user", "content": list(parts)}], max_tokens=2).usage.input_tokens

    assert tokens(text, image) > tokens(text) + 80


def test_tokens_are_counted_without_an_answer(claude, wire):
    little = claude.messages.count_tokens(model=wire, messages=HELLO).input_tokens
    more = claude.messages.count_tokens(model=wire, messages=HELLO, system="Be brief.", tools=TOOLS).input_tokens
    assert 0 < little < more


def test_the_models_are_those_of_the_routes_in_the_clients_own_form(claude, wire):
    models = list(claude.models.list())
    assert wire in [model.id for model in models]
    assert {model.type for model in models} == {"model"}
    assert claude.models.retrieve(wire).id == wire
