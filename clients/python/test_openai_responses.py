"""`openai` for Python: responses. They are stateless here: what came before goes with each request."""

import json

import openai
import pydantic
import pytest

pytestmark = pytest.mark.over("responses")


def function(name, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "name": name, "description": f"Tells the {name}.", "parameters": parameters, "strict": True}


TOOLS = [function("weather", city={"type": "string"}), function("clock", city={"type": "string"})]
# Has the simulator call two tools at once.
ASK_BOTH = [{"role": "user", "content": "Weather and time in Bern? [[sim:calls=2]]"}]


class Forecast(pydantic.BaseModel):
    city: str
    degrees: list[float]


def ask(client, model, question="Say hello.", **more):
    return client.responses.create(**{"model": model, "input": question, "store": False, **more})


def test_a_response_is_answered_with_text_and_usage(client, wire):
    answer = ask(client, wire, instructions="Be brief.")
    assert (answer.object, answer.status) == ("response", "completed")
    assert answer.usage.output_tokens == len(answer.output_text.split())
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_a_limit_on_tokens_makes_the_response_incomplete(client, wire):
    answer = ask(client, wire, max_output_tokens=16, question="[[sim:tokens=40]]")
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage.output_tokens == 16


def test_a_stream_brings_the_text_in_pieces_and_ends_with_the_response(client, wire):
    events = list(ask(client, wire, stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == events[-1].response.output_text
    assert events[-1].response.usage.output_tokens > 0
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))


def test_the_stream_helper_puts_the_response_together(client, wire):
    with client.responses.stream(model=wire, input="Say hello.", store=False) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        answer = stream.get_final_response()
    assert "".join(pieces) == answer.output_text


@pytest.mark.parametrize("stream", [False, True])
def test_two_tools_are_called_at_once_and_both_results_lead_to_the_answer(client, wire, stream):
    def send(**request):
        request = {"model": wire, "tools": TOOLS, "store": False, **request}
        if not stream:
            return client.responses.create(**request)
        with client.responses.stream(**request) as events:
            for _ in events:
                pass
            return events.get_final_response()

    first = send(input=ASK_BOTH)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["weather", "clock"]
    assert all(isinstance(json.loads(call.arguments)["city"], str) for call in calls)
    turns = [{"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments} for call in calls]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": f"From {call.name}."} for call in calls]
    # The last message ends what the simulator was told by the first one.
    second = send(input=[*ASK_BOTH, *turns, *results, {"role": "user", "content": "In short?"}])
    assert second.output_text


def test_structured_output_is_parsed_into_its_model(client, wire):
    answer = client.responses.parse(model=wire, input="How will it be in Bern?", text_format=Forecast, store=False)
    assert isinstance(answer.output_parsed, Forecast)


def test_an_error_of_the_provider_is_the_clients_exception_for_it(client, wire, fault):
    for status, error in [(400, openai.BadRequestError), (429, openai.RateLimitError), (500, openai.InternalServerError)]:
        for stream in [False, True]:
            with pytest.raises(error):
                ask(client, wire, stream=stream, extra_headers=fault(str(status)))


def test_a_stream_that_fails_in_its_middle_raises_or_says_so(client, wire, fault):
    kinds = []
    try:
        for event in ask(client, wire, stream=True, extra_headers=fault("reset;after=3")):
            kinds.append(event.type)
    except openai.APIError:
        kinds.append("error")
    assert kinds.count("response.output_text.delta") == 3
    assert kinds[-1] in {"error", "response.failed"}


def test_a_stream_that_the_client_closes_ends_at_the_provider(client, stand, wire, fault, mark):
    with ask(client, wire, stream=True, extra_headers=fault("hang;after=3")) as stream:
        assert next(iter(stream)).type == "response.created"
    stand.wait_for_outcome(mark, "cancelled")
