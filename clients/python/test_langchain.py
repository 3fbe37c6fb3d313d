"""LangChain's OpenAI chat model and embeddings."""

import openai
import pydantic
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from stand import WITHOUT_LIMIT_ON_CALLS, leaving_out

pytestmark = pytest.mark.over("chat")

HELLO = [SystemMessage("Be brief."), HumanMessage("Say hello.")]


@pytest.fixture
def model(stand, wire):
    return ChatOpenAI(model=wire, base_url=stand.base, api_key=stand.key, max_retries=0, timeout=10)


@tool
def weather(city: str) -> str:
    """Tells the weather in a city."""
    return f"Snow in {city}."


@tool
def clock(city: str) -> str:
    """Tells the time in a city."""
    return f"Noon in {city}."


class Forecast(pydantic.BaseModel):
    """A forecast."""

    city: str
    degrees: int


def test_a_chat_is_answered_with_text_and_usage(model):
    answer = model.invoke(HELLO)
    assert answer.text
    assert answer.usage_metadata["output_tokens"] == len(answer.text.split())


def test_a_stream_brings_the_text_in_pieces_and_usage(model):
    pieces = list(model.stream(HELLO, stream_usage=True))
    texts = [piece.text for piece in pieces if piece.text]
    assert len(texts) > 1
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert whole.usage_metadata["output_tokens"] == len("".join(texts).split())


def test_tools_are_called_and_their_results_lead_to_the_answer(model):
    tools = {"weather": weather, "clock": clock}
    ask = HumanMessage("Weather and time in Bern? [[sim:calls=2]]")
    first = model.bind_tools(list(tools.values())).invoke([ask])
    assert [call["name"] for call in first.tool_calls] == ["weather", "clock"]
    results = [tools[call["name"]].invoke(call) for call in first.tool_calls]
    assert all(isinstance(result, ToolMessage) for result in results)
    # The last message ends what the simulator was told by the first one.
    second = model.bind_tools(list(tools.values())).invoke([ask, first, *results, HumanMessage("In short?")])
    assert second.text
    assert not second.tool_calls


def test_calls_stream(model):
    whole = None
    for piece in model.bind_tools([weather, clock]).stream("Both, please. [[sim:calls=2]]"):
        whole = piece if whole is None else whole + piece
    assert [call["name"] for call in whole.tool_calls] == ["weather", "clock"]
    assert all(isinstance(call["args"]["city"], str) for call in whole.tool_calls)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_an_instance_of_its_model(model, wire, method):
    if method == "function_calling" and wire in WITHOUT_LIMIT_ON_CALLS:
        # LangChain forbids parallel calls here by itself.
        model = model.model_copy(update={"model_name": leaving_out(wire)})
    assert isinstance(model.with_structured_output(Forecast, method=method).invoke("How will it be in Bern?"), Forecast)


@pytest.mark.over("embeddings")
def test_embeddings_of_documents_and_queries_are_vectors(stand, wire):
    # The check of lengths would fetch a tokenizer, and counts in one that only OpenAI's models have.
    embeddings = OpenAIEmbeddings(model=wire, base_url=stand.base, api_key=stand.key, check_embedding_ctx_length=False)
    near, far = embeddings.embed_documents(["a red apple", "the deep sea at night"])
    query = embeddings.embed_query("a red pear")

    def likeness(other):
        return sum(a * b for a, b in zip(query, other, strict=True))

    assert likeness(near) > likeness(far)


def test_errors_and_failing_streams_raise(stand, model, fault):
    wrong = ChatOpenAI(model=model.model_name, base_url=stand.base, api_key="twk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        wrong.invoke(HELLO)
    with pytest.raises(openai.RateLimitError):
        model.invoke(HELLO, extra_headers=fault("429"))
    with pytest.raises(openai.APIError):
        list(model.stream(HELLO, extra_headers=fault("reset;after=3")))
