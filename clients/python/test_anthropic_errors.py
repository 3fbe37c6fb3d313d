"""`anthropic` for Python: errors as its exceptions, its own retries, timeouts and cancellation."""

import time

import anthropic
import pytest

pytestmark = pytest.mark.over("messages")

HELLO = [{"role": "user", "content": "Say hello."}]


def ask(claude, model, **more):
    return claude.messages.create(**{"model": model, "messages": HELLO, "max_tokens": 1000, **more})


def test_a_wrong_key_is_an_authentication_error(claude, wire):
    with pytest.raises(anthropic.AuthenticationError) as caught:
        ask(claude.with_options(api_key="twk-wrong"), wire)
    assert caught.value.body["error"]["type"] == "authentication_error"


def test_a_bearer_token_is_a_key_too(stand, wire):
    with anthropic.Anthropic(base_url=stand.gateway, auth_token=stand.key, max_retries=0) as client:
        assert ask(client, wire).content


def test_an_unknown_model_is_not_found(claude):
    with pytest.raises(anthropic.NotFoundError) as caught:
        ask(claude, "no-such-model")
    assert caught.value.body["error"]["type"] == "not_found_error"
    assert "no-such-model" in caught.value.body["error"]["message"]
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("no-such-model")


def test_a_request_that_the_provider_refuses_is_bad(claude, wire):
    orphan = {"type": "tool_result", "tool_use_id": "toolu_nobody_made", "content": "Snow."}
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask(claude, wire, messages=[{"role": "user", "content": [orphan]}])
    assert caught.value.body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (403, anthropic.PermissionDeniedError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_the_provider_is_the_clients_exception_for_it(claude, wire, fault, status, error, stream):
    with pytest.raises(error) as caught:
        ask(claude, wire, stream=stream, extra_headers=fault(str(status)))
    assert caught.value.status_code == status
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["message"]
    assert caught.value.request_id


def test_the_client_waits_as_long_as_retry_after_says_before_it_tries_again(claude, stand, fault, mark):
    began = time.monotonic()
    assert ask(claude.with_options(max_retries=1), "anthropic", extra_headers=fault("429;retry-after=1,ok")).content
    # Without the header the client would wait for half a second at most.
    assert time.monotonic() - began >= 1
    assert [request["status"] for request in stand.seen(mark)] == [429, 200]


def test_rate_limits_of_the_provider_reach_the_client(claude, wire, fault):
    with pytest.raises(anthropic.RateLimitError) as caught:
        ask(claude, wire, extra_headers=fault("429;retry-after=7"))
    assert caught.value.response.headers["retry-after"] == "7"


def test_the_client_tries_again_after_an_error_of_the_server(claude, stand, fault, mark):
    assert ask(claude.with_options(max_retries=1), "anthropic", extra_headers=fault("500,ok")).content
    assert [request["status"] for request in stand.seen(mark)] == [500, 200]


@pytest.mark.parametrize("text", ["error;after=3", "reset;after=3", "close;after=3"])
def test_a_stream_that_fails_in_its_middle_raises_after_what_came(claude, wire, fault, text):
    pieces = []
    with pytest.raises(anthropic.APIError):
        for event in ask(claude, wire, stream=True, extra_headers=fault(text)):
            if event.type == "content_block_delta":
                pieces.append(event.delta.text)
    assert len("".join(pieces).split()) == 3


def test_a_timeout_of_the_client_ends_the_request_at_the_provider(claude, stand, wire, fault, mark):
    with pytest.raises(anthropic.APITimeoutError):
        ask(claude.with_options(timeout=0.15), wire, extra_headers=fault("hang"))
    stand.wait_for_outcome(mark, "cancelled")


def test_a_stream_that_the_client_closes_ends_at_the_provider(claude, stand, wire, fault, mark):
    with ask(claude, wire, stream=True, extra_headers=fault("hang;after=3")) as stream:
        assert next(iter(stream)).type == "message_start"
    stand.wait_for_outcome(mark, "cancelled")
