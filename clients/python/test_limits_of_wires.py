"""What a wire has no place for is an error of the client's own kind that names the field, and nothing is sent."""

import anthropic
import openai
import pytest
import stand as stand_program

HELLO = [{"role": "user", "content": "Say hello."}]
OPERATIONS = stand_program.OPERATIONS
# Wires of others than OpenAI.
FOREIGN = [wire for wire in OPERATIONS["chat"] if wire not in stand_program.OPENAI]


@pytest.mark.parametrize("wire", FOREIGN)
@pytest.mark.parametrize("field", [{"logit_bias": {"50256": -100}}, {"verbosity": "low"}, {"service_tier": "flex"}])
@pytest.mark.parametrize("stream", [False, True])
def test_a_field_of_chat_completions_without_a_place_is_named(client, stand, wire, fault, mark, field, stream):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=wire, messages=HELLO, stream=stream, extra_headers=fault("ok"), **field)
    assert caught.value.param == next(iter(field))
    assert stand.seen(mark) == []


@pytest.mark.parametrize("wire", FOREIGN)
def test_a_place_deep_in_a_request_is_named(client, wire):
    messages = [{"role": "user", "name": "ann", "content": "Say hello."}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=wire, messages=messages)
    assert caught.value.param == "messages[0].name"


@pytest.mark.parametrize("wire", FOREIGN)
def test_several_prompts_of_completions_are_named(client, wire):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=wire, prompt=["Once", "Twice"])
    assert caught.value.param == "prompt"


@pytest.mark.parametrize("wire", [wire for wire in OPERATIONS["responses"] if wire not in {"openai", "azure"}])
def test_a_response_that_builds_on_one_before_it_is_refused_where_none_are_kept(client, wire):
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=wire, input="Go on.", previous_response_id="resp_1", store=False)
    assert caught.value.param == "previous_response_id"


@pytest.mark.parametrize("wire", [wire for wire in OPERATIONS["messages"] if wire != "anthropic"])
def test_a_field_of_messages_without_a_place_is_named(claude, stand, wire, fault, mark):
    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.messages.create(
            model=wire, messages=HELLO, max_tokens=9, service_tier="standard_only", extra_headers=fault("ok")
        )
    assert "service_tier" in caught.value.body["error"]["message"]
    assert stand.seen(mark) == []


@pytest.mark.parametrize("wire", [wire for wire in FOREIGN if wire not in OPERATIONS["embeddings"]])
def test_embeddings_of_a_provider_that_has_none_are_an_error(client, wire):
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model=wire, input="a red apple")
    assert 400 <= caught.value.status_code < 500
    assert caught.value.message
