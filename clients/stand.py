"""What the clients are tested on: a simulated provider, and a gateway in front of it.

`python3 stand.py` starts both on free ports, prints one line of JSON that says where they are, and runs until its
standard input ends. It fails if one of the programs ended by itself, panicked or logged an error. It needs nothing but
Python itself, so that the tests in Node start the same stand.
"""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

# How long a program may take to say where it listens. Far beyond what it needs; it ends a run that cannot succeed.
PATIENCE = 30.0

# The key of the tenant, which clients show to the gateway, and the provider's, which the gateway shows to the simulator.
KEY = "twk-clients-0123456789abcdef0123456789abcdef"
PROVIDER_KEY = "sk-provider-of-the-stand"

# What clients ask for, and the wires behind the gateway that answer it. A wire is the name of a provider, and of the model
# that clients ask for to reach it.
OPENAI = ["openai", "compatible", "azure", "azure-dated"]
ALL = [*OPENAI, "anthropic"]
OPERATIONS = {
    "chat": ALL,
    "completions": ALL,
    "responses": ["compatible", "anthropic"],
    "messages": ALL,
    "embeddings": OPENAI,
}
# Wires without a way to forbid parallel calls: a request that does so is refused, unless the route leaves out what its wire
# has no place for.
WITHOUT_LIMIT_ON_CALLS = []
# Wires that prove thoughts by signatures; others have none to give.
SIGNED = ["anthropic"]



def specifications(sim):
    """What the specification of each wire's provider is, apart from its credentials."""
    return {
        "openai": {"type": "OpenAI", "endpoint": f"{sim}/v1"},
        "compatible": {"type": "OpenAICompatible", "endpoint": f"{sim}/v1"},
        "azure": {"type": "AzureOpenAI", "endpoint": sim},
        "azure-dated": {"type": "AzureOpenAI", "endpoint": sim, "azure": {"apiVersion": "2024-10-21"}},
        "anthropic": {"type": "Anthropic", "endpoint": f"{sim}/v1"},
    }


# The routes of the documentation's snippets, and the one on which the gateway itself tries again.
DOCUMENTED = {"assistant": "openai", "claude": "anthropic"}
RETRYING = "retrying"


def leaving_out(wire):
    """The model of the wire's route that leaves out what the wire has no place for."""
    return f"{wire}-leaving-out"


class Program:
    """A program that runs until the block ends. `address` is what the first group of the pattern found in its log."""

    def __init__(self, path, arguments, pattern):
        self.name = Path(path).name
        self.log = []
        self._found = queue.Queue()
        self._process = subprocess.Popen(
            [path, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, args=(pattern,), daemon=True)
        self._reader.start()

    def _read(self, pattern):
        for line in self._process.stderr:
            self.log.append(line)
            match = re.search(pattern, line)
            if match:
                self._found.put(match.group(1))
        self._found.put(None)

    def __enter__(self):
        try:
            self.address = self._found.get(timeout=PATIENCE)
        except queue.Empty:
            self.address = None
        if self.address is None:
            self.__exit__()
            raise SystemExit(f"{self.name} did not say where it listens:\n{''.join(self.log)}")
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def complaint(self):
        """What is wrong with a program that should still run, or None."""
        if self._process.poll() is not None:
            return f"{self.name} has ended with {self._process.returncode}:\n{''.join(self.log[-20:])}"
        bad = [line for line in self.log if "panicked" in line or '"level":"ERROR"' in line]
        return f"{self.name} has logged errors:\n{''.join(bad[:20])}" if bad else None


def resource(kind, name, spec):
    api = "tokenweir.dev/v1alpha1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "clients"}, "spec": spec}


def secret(name, **fields):
    metadata = {"name": name, "namespace": "clients"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": fields}


def route(model, provider, retries=0, **more):
    backend = {"providerRef": {"name": provider}, "model": "sim-large"}
    spec = {"model": model, "gatewayRefs": [{"name": "edge"}], "backends": [backend], "retry": {"attempts": retries}}
    return resource("ModelRoute", model, {**spec, **more})


def configuration(sim):
    """The objects that the gateway serves. Its own retries are off, except on one route: the clients' are under test."""
    yield resource("LLMGateway", "edge", {"listeners": [{"port": 8080}]})
    yield secret("provider", key=PROVIDER_KEY)
    yield secret("tenant", key=KEY)
    for name, specification in specifications(sim).items():
        credentials = {"secretRef": {"name": "provider", "key": "key"}}
        yield resource("ModelProvider", name, {"credentials": credentials, **specification})
        yield route(name, name)
        yield route(leaving_out(name), name, dropUnsupported=True)
    for model, provider in DOCUMENTED.items():
        yield route(model, provider)
    yield route(RETRYING, "openai", retries=2)
    keys = [{"name": "test", "secretRef": {"name": "tenant", "key": "key"}}]
    yield resource("Tenant", "team", {"auth": {"apiKeys": keys}})


def wait_until_ready(url):
    request = urllib.request.Request(f"{url}/v1/models", headers={"authorization": f"Bearer {KEY}"})
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE):
                return
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"the gateway is not ready: {error}") from error
            time.sleep(0.02)


def serve(folder):
    """Starts both, says where they are, and waits for the end. Returns what was wrong with them."""
    arguments = ["--listen=127.0.0.1:0", f"--api-key={PROVIDER_KEY}", "--log-format=json"]
    with Program(os.environ["TOKENWEIR_SIM_BIN"], arguments, r'"serving","url":"([^"]+)"') as sim:
        served = folder / "served"
        served.mkdir()
        objects = (json.dumps(item) for item in configuration(sim.address))
        # JSON is YAML too.
        (served / "all.yaml").write_text("\n---\n".join(objects), encoding="utf-8")
        arguments = [f"--{port}=127.0.0.1:0" for port in ("listen", "admin-listen", "telemetry-listen")]
        arguments += [f"--config={served}", f"--state-dir={folder / 'state'}", "--log-format=json"]
        pattern = r'"listening","address":"([^"]+)"'
        with Program(os.environ["TOKENWEIR_GATEWAY_BIN"], arguments, pattern) as gateway:
            url = f"http://{gateway.address}"
            wait_until_ready(url)
            where = {"gateway": url, "sim": sim.address, "key": KEY}
            known = {"operations": OPERATIONS, "signed": SIGNED, "withoutLimitOnCalls": WITHOUT_LIMIT_ON_CALLS}
            print(json.dumps({**where, **known}), flush=True)
            sys.stdin.read()
            return "\n".join(filter(None, [gateway.complaint(), sim.complaint()]))


def main():
    # A signal ends the programs too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    with tempfile.TemporaryDirectory(prefix="tokenweir-clients-") as folder:
        sys.exit(serve(Path(folder)) or 0)


if __name__ == "__main__":
    main()
