"""`openai` for Python: completions, embeddings and models."""

import math

import pytest


@pytest.mark.over("completions")
def test_a_completion_is_answered(client, wire):
    answer = client.completions.create(model=wire, prompt="Once upon a time", max_tokens=5)
    assert len(answer.choices[0].text.split()) == 5
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


@pytest.mark.over("completions")
def test_a_completion_streams(client, wire):
    chunks = list(client.completions.create(model=wire, prompt="Once upon a time", max_tokens=5, stream=True))
    assert len("".join(chunk.choices[0].text for chunk in chunks).split()) == 5
    assert chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.over("embeddings")
@pytest.mark.parametrize("encoding", [None, "float", "base64"])
def test_embeddings_are_vectors_however_they_are_encoded(client, wire, encoding):
    # Without a wish the client asks for base64 and decodes it itself.
    wish = {} if encoding is None else {"encoding_format": encoding}
    answer = client.embeddings.create(model=wire, input=["a red apple", "a red pear"], **wish)
    assert [item.index for item in answer.data] == [0, 1]
    if encoding == "base64":
        assert all(isinstance(item.embedding, str) for item in answer.data)
    else:
        assert all(math.isclose(math.hypot(*item.embedding), 1, rel_tol=1e-3) for item in answer.data)
    assert answer.usage.prompt_tokens > 0


@pytest.mark.over("embeddings")
def test_embeddings_have_the_wanted_dimensions(client, wire):
    answer = client.embeddings.create(model=wire, input="a red apple", dimensions=32)
    assert len(answer.data[0].embedding) == 32


@pytest.mark.over("chat")
def test_the_models_are_those_of_the_routes(client, wire):
    assert wire in [model.id for model in client.models.list()]
    model = client.models.retrieve(wire)
    assert (model.id, model.object) == (wire, "model")
