"""`openai` for Python: errors as its exceptions, its own retries, timeouts and cancellation."""

import time

import openai
import pytest

pytestmark = pytest.mark.over("chat")

HELLO = [{"role": "user", "content": "Say hello."}]


def chat(client, model, **more):
    return client.chat.completions.create(model=model, messages=HELLO, **more)


def test_a_wrong_key_is_an_authentication_error(client, wire):
    with pytest.raises(openai.AuthenticationError) as caught:
        chat(client.with_options(api_key="twk-wrong"), wire)
    assert caught.value.code == "invalid_api_key"


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        chat(client, "no-such-model")
    assert caught.value.code == "model_not_found"
    assert "no-such-model" in caught.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_request_without_a_model_is_bad(client):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, "")
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (403, openai.PermissionDeniedError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_the_provider_is_the_clients_exception_for_it(client, wire, fault, status, error, stream):
    with pytest.raises(error) as caught:
        chat(client, wire, stream=stream, extra_headers=fault(str(status)))
    assert caught.value.status_code == status
    assert caught.value.message
    assert isinstance(caught.value.body, dict)
    assert caught.value.request_id


def test_the_client_waits_as_long_as_retry_after_says_before_it_tries_again(client, stand, fault, mark):
    began = time.monotonic()
    answer = chat(client.with_options(max_retries=1), "openai", extra_headers=fault("429;retry-after=1,ok"))
    assert answer.choices[0].message.content
    # Without the header the client would wait for half a second at most.
    assert time.monotonic() - began >= 1
    assert [request["status"] for request in stand.seen(mark)] == [429, 200]


def test_rate_limits_of_the_provider_reach_the_client(client, wire, fault):
    with pytest.raises(openai.RateLimitError) as caught:
        chat(client, wire, extra_headers=fault("429;retry-after=7"))
    assert caught.value.response.headers["retry-after"] == "7"


def test_the_client_tries_again_after_an_error_of_the_server(client, stand, fault, mark):
    answer = chat(client.with_options(max_retries=1), "openai", extra_headers=fault("500,ok"))
    assert answer.choices[0].message.content
    assert [request["status"] for request in stand.seen(mark)] == [500, 200]


def test_the_gateway_tries_again_where_its_route_says_so(client, stand, fault, mark):
    answer = chat(client, "retrying", extra_headers=fault("500,503,ok"))
    assert answer.choices[0].message.content
    assert [request["status"] for request in stand.seen(mark)] == [500, 503, 200]


@pytest.mark.parametrize("text", ["error;after=3", "reset;after=3", "close;after=3"])
def test_a_stream_that_fails_in_its_middle_raises_after_what_came(client, wire, fault, text):
    pieces = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in chat(client, wire, stream=True, extra_headers=fault(text)):
            pieces += [choice.delta.content or "" for choice in chunk.choices]
    assert len("".join(pieces).split()) == 3
    assert caught.value.message


def test_a_timeout_of_the_client_ends_the_request_at_the_provider(client, stand, wire, fault, mark):
    with pytest.raises(openai.APITimeoutError):
        chat(client.with_options(timeout=0.15), wire, extra_headers=fault("hang"))
    stand.wait_for_outcome(mark, "cancelled")


def test_a_stream_that_the_client_closes_ends_at_the_provider(client, stand, wire, fault, mark):
    with chat(client, wire, stream=True, extra_headers=fault("hang;after=3")) as stream:
        assert next(iter(stream)).id
    stand.wait_for_outcome(mark, "cancelled")
