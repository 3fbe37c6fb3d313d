"""`openai` for Python: tools, structured output, images and what else a chat may hold."""

import enum
import json

import openai
import pydantic
import pytest
from stand import WITHOUT_LIMIT_ON_CALLS, leaving_out


pytestmark = pytest.mark.over("chat")


def function(name, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": f"Tells the {name}.", "parameters": parameters}}


WEATHER = function("weather", city={"type": "string"}, days={"type": "integer"})
CLOCK = function("clock", city={"type": "string"})
ASK = [{"role": "user", "content": "What is the weather in Bern?"}]
# Has the simulator call two tools at once.
ASK_BOTH = [{"role": "user", "content": "Weather and time in Bern? [[sim:calls=2]]"}]

# A picture of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def test_a_tool_is_called_and_its_result_leads_to_the_answer(client, wire):
    first = client.chat.completions.create(model=wire, messages=ASK, tools=[WEATHER], tool_choice="required")
    assert first.choices[0].finish_reason == "tool_calls"
    [call] = first.choices[0].message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    arguments = json.loads(call.function.arguments)
    assert isinstance(arguments["city"], str)
    assert isinstance(arguments["days"], int)
    result = {"role": "tool", "tool_call_id": call.id, "content": "Snow."}
    conversation = [*ASK, first.choices[0].message, result]
    second = client.chat.completions.create(model=wire, messages=conversation, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content
    assert not second.choices[0].message.tool_calls


def test_two_tools_are_called_at_once_and_both_results_are_taken(client, wire):
    tools = [WEATHER, CLOCK]
    first = client.chat.completions.create(model=wire, messages=ASK_BOTH, tools=tools)
    calls = first.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather", "clock"]
    assert calls[0].id != calls[1].id
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"From {call.function.name}."} for call in calls]
    # The last message ends what the simulator was told by the first one.
    conversation = [*ASK_BOTH, first.choices[0].message, *results, {"role": "user", "content": "In short?"}]
    second = client.chat.completions.create(model=wire, messages=conversation, tools=tools)
    assert second.choices[0].message.content


def test_parallel_calls_can_be_forbidden(client, wire):
    def calls(model):
        request = {"messages": ASK_BOTH, "tools": [WEATHER, CLOCK], "parallel_tool_calls": False}
        return client.chat.completions.create(model=model, **request).choices[0].message.tool_calls

    if wire in WITHOUT_LIMIT_ON_CALLS:
        with pytest.raises(openai.BadRequestError, match="parallel_tool_calls"):
            calls(wire)
        assert len(calls(leaving_out(wire))) == 2
    else:
        assert len(calls(wire)) == 1


def test_a_function_can_be_chosen(client, wire):
    choice = {"type": "function", "function": {"name": "clock"}}
    answer = client.chat.completions.create(model=wire, messages=ASK, tools=[WEATHER, CLOCK], tool_choice=choice)
    assert [call.function.name for call in answer.choices[0].message.tool_calls] == ["clock"]


def test_calls_stream_in_pieces_that_fit_together(client, wire):
    with client.chat.completions.stream(model=wire, messages=ASK_BOTH, tools=[WEATHER, CLOCK]) as stream:
        pieces = [event for event in stream if event.type == "tool_calls.function.arguments.delta"]
        message = stream.get_final_completion().choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["weather", "clock"]
    assert len(pieces) >= 2
    for index, call in enumerate(message.tool_calls):
        assert call.id
        assert isinstance(json.loads(call.function.arguments)["city"], str)
        assert "".join(event.arguments_delta for event in pieces if event.index == index) == call.function.arguments


class Sky(enum.Enum):
    CLEAR = "clear"
    GREY = "grey"


class Forecast(pydantic.BaseModel):
    city: str
    sky: Sky
    degrees: list[float]


def test_structured_output_is_parsed_into_its_model(client, wire):
    answer = client.chat.completions.parse(model=wire, messages=ASK, response_format=Forecast)
    assert isinstance(answer.choices[0].message.parsed, Forecast)


def test_structured_output_streams(client, wire):
    with client.chat.completions.stream(model=wire, messages=ASK, response_format=Forecast) as stream:
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert isinstance(parsed, Forecast)


def test_arguments_of_a_tool_are_parsed_into_their_model(client, wire):
    tools = [openai.pydantic_function_tool(Forecast)]
    answer = client.chat.completions.parse(model=wire, messages=ASK, tools=tools, tool_choice="required")
    [call] = answer.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, Forecast)


def test_an_image_counts_in_the_prompt(client, wire):
    text = {"type": "text", "text": "What is this?"}
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}

    def tokens(*parts):
        answer = client.chat.completions.create(model=wire, messages=[{"role": "user", "content": list(parts)}], max_tokens=2)
        return answer.usage.prompt_tokens

    assert tokens(text, image) > tokens(text) + 80


def test_a_conversation_of_many_turns_is_taken(client, wire):
    turns = [{"role": "developer", "content": "Be brief."}]
    for turn in range(4):
        turns.append({"role": "user", "content": f"Question {turn}?"})
        answer = client.chat.completions.create(model=wire, messages=turns, max_tokens=4)
        turns.append({"role": "assistant", "content": answer.choices[0].message.content})
    assert all(turn["content"] for turn in turns)


@pytest.mark.parametrize("stop", ["STOP", ["STOP", "HALT"]])
def test_a_stop_sequence_ends_the_answer(client, wire, stop):
    messages = [{"role": "user", "content": "[[sim:say=one two STOP three]]"}]
    answer = client.chat.completions.create(model=wire, messages=messages, stop=stop)
    assert answer.choices[0].message.content.strip() == "one two"
    assert answer.choices[0].finish_reason == "stop"


def test_effort_of_reasoning_is_counted_in_usage(client, wire):
    messages = [{"role": "user", "content": "Think. [[sim:thinking=12]]"}]
    answer = client.chat.completions.create(model=wire, messages=messages, reasoning_effort="high")
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens > 12


def test_a_request_that_the_provider_refuses_is_bad(client, wire):
    orphan = [*ASK, {"role": "tool", "tool_call_id": "call_nobody_made", "content": "Snow."}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=wire, messages=orphan)
    assert caught.value.type == "invalid_request_error"
