"""The stand, and the clients as their documentation says to make them: with a base URL and a key."""

import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import anthropic
import openai
import pytest

import stand as stand_program

# Nothing of the environment may lead a client elsewhere, and no client may report to its maker.
for name in list(os.environ):
    if name.startswith(("OPENAI_", "ANTHROPIC_", "LANGCHAIN_", "LANGSMITH_")) or name.lower().endswith("_proxy"):
        del os.environ[name]
os.environ["LANGSMITH_TRACING"] = "false"

# Long enough for a slow machine, short enough to end a wait that cannot succeed.
PATIENCE = 10.0


class Stand:
    """Where the gateway and the simulator are, and what the simulator saw."""

    def __init__(self, where):
        self.gateway = where["gateway"]
        self.base = f"{self.gateway}/v1"
        self.key = where["key"]
        self._sim = where["sim"]

    def seen(self, mark):
        """The requests with this mark as the simulator saw them, oldest first."""
        with urllib.request.urlopen(f"{self._sim}/sim/requests", timeout=PATIENCE) as answer:
            requests = json.load(answer)
        return [request for request in requests if request["headers"].get("x-sim-key") == mark]

    def wait_for_outcome(self, mark, outcome):
        """Waits until the only request with this mark has ended so."""
        deadline = time.monotonic() + PATIENCE
        while True:
            outcomes = [request["outcome"] for request in self.seen(mark)]
            if outcomes == [outcome]:
                return
            assert time.monotonic() < deadline, f"requests ended as {outcomes} and not as {outcome}"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def stand():
    program = Path(stand_program.__file__)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, program], text=True, **pipes)
    line = process.stdout.readline()
    if not line:
        pytest.exit(f"the stand did not start: {process.stderr.read()}", returncode=3)
    yield Stand(json.loads(line))
    # Ends its standard input, and with it the stand.
    _, complaints = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, complaints


def pytest_generate_tests(metafunc):
    """`wire` is in turn the model that leads to each wire which answers what the mark `over` names."""
    mark = metafunc.definition.get_closest_marker("over")
    if mark and "wire" in metafunc.fixturenames:
        metafunc.parametrize("wire", stand_program.OPERATIONS[mark.args[0]])


@pytest.fixture
def mark():
    """Marks the requests of one test, so that its faults and its traces are its own."""
    return uuid.uuid4().hex


@pytest.fixture
def fault(mark):
    """Makes headers that have the provider fail in a way."""
    return lambda text: {"x-sim-fault": text, "x-sim-key": mark}


@pytest.fixture(scope="session")
def client(stand):
    """OpenAI's client. It does not retry, so that tests see what came; `with_options` says otherwise."""
    with openai.OpenAI(base_url=stand.base, api_key=stand.key, max_retries=0, timeout=PATIENCE) as made:
        yield made


@pytest.fixture(scope="session")
def claude(stand):
    """Anthropic's client, which adds the path of the API itself. It does not retry either."""
    with anthropic.Anthropic(base_url=stand.gateway, api_key=stand.key, max_retries=0, timeout=PATIENCE) as made:
        yield made
