"""What the clients are tested on: a simulated provider, and a gateway in front of it.

`python3 stand.py` starts both on free ports, prints one line of JSON that says where they are, and runs until its
standard input ends. It fails if one of the programs ended by itself, panicked or logged an error. It needs nothing but
Python itself, so that the tests in Node start the same stand.
"""

import contextlib
import json
import os
import queue
import re
import signal
import socket
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
AWS = {"accessKeyId": "AKIASTANDSTANDSTAND0", "secretAccessKey": "secret-of-the-stand"}
GOOGLE_KEY = Path(__file__).resolve().parent.parent / "sim" / "tests" / "fixtures" / "service-account.pem"


def service_account(sim):
    """The key file of an account at Google whose tokens the simulator gives out."""
    private = GOOGLE_KEY.read_text(encoding="utf-8")
    return json.dumps({"client_email": "gateway@stand", "private_key": private, "token_uri": f"{sim}/token"})


# What clients ask for, and the wires behind the gateway that answer it. A wire is the name of a provider, and of the model
# that clients ask for to reach it.
OPENAI = ["openai", "compatible", "azure", "azure-dated"]
ALL = [*OPENAI, "anthropic", "gemini", "vertex", "bedrock"]
OPERATIONS = {
    "chat": ALL,
    "completions": ALL,
    # The dated API of Azure has none.
    "responses": [wire for wire in ALL if wire != "azure-dated"],
    "messages": ALL,
    "embeddings": [*OPENAI, "gemini", "vertex"],
}
# Wires without a way to forbid parallel calls: a request that does so is refused, unless the route leaves out what its wire
# has no place for.
WITHOUT_LIMIT_ON_CALLS = ["gemini", "vertex", "bedrock"]
# Wires that prove thoughts by signatures; others have none to give.
SIGNED = ["anthropic", "bedrock"]

# Names of models at providers whose wires tell generations of models apart; the others are asked for this one.
MODELS = {
    "gemini": "gemini-2.5-flash",
    "vertex": "gemini-2.5-flash",
    "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0",
}
MODEL = "sim-large"


def specifications(sim):
    """What the specification of each wire's provider is, apart from its credentials."""
    return {
        "openai": {"type": "OpenAI", "endpoint": f"{sim}/v1"},
        "compatible": {"type": "OpenAICompatible", "endpoint": f"{sim}/v1"},
        "azure": {"type": "AzureOpenAI", "endpoint": sim},
        "azure-dated": {"type": "AzureOpenAI", "endpoint": sim, "azure": {"apiVersion": "2024-10-21"}},
        "anthropic": {"type": "Anthropic", "endpoint": f"{sim}/v1"},
        "gemini": {"type": "Gemini", "endpoint": f"{sim}/v1beta"},
        "vertex": {"type": "Vertex", "endpoint": sim, "google": {"project": "stand", "location": "global"}},
        "bedrock": {"type": "Bedrock", "endpoint": sim, "aws": {"region": "eu-central-1", "secretRef": {"name": "aws"}}},
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
    backend = {"providerRef": {"name": provider}, "model": MODELS.get(provider, MODEL)}
    spec = {"model": model, "gatewayRefs": [{"name": "edge"}], "backends": [backend], "retry": {"attempts": retries}}
    return resource("ModelRoute", model, {**spec, **more})


def configuration(sim):
    """The objects that the gateway serves. Its own retries are off, except on one route: the clients' are under test."""
    yield resource("LLMGateway", "edge", {"listeners": [{"port": 8080}]})
    yield secret("provider", key=PROVIDER_KEY)
    yield secret("aws", **AWS)
    yield secret("google", key=service_account(sim))
    yield secret("tenant", key=KEY)
    for name, specification in specifications(sim).items():
        kept = "google" if "google" in specification else "provider"
        # Amazon's keys, which sign, stand apart.
        keys = {} if "aws" in specification else {"credentials": {"secretRef": {"name": kept, "key": "key"}}}
        yield resource("ModelProvider", name, {**keys, **specification})
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


@contextlib.contextmanager
def reserved_address():
    """An address that nobody else gets meanwhile, and that the simulator, whose sockets share their port, can still take.
    A service account names the address of its tokens before there is a simulator."""
    with socket.socket() as reserved:
        # With both, others may bind it who say the same, and nobody is given it by chance.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


def simulator(folder, address):
    """The simulated providers, which want the keys that they know."""
    key_file, settings = folder / "account.json", folder / "sim.json"
    key_file.write_text(service_account(f"http://{address}"), encoding="utf-8")
    google = {"keyFile": str(key_file)}
    settings.write_text(json.dumps({"apiKeys": [PROVIDER_KEY], "aws": AWS, "google": google}), encoding="utf-8")
    arguments = [f"--listen={address}", f"--config={settings}", "--log-format=json"]
    return Program(os.environ["TOKENWEIR_SIM_BIN"], arguments, r'"serving","url":"([^"]+)"')


def serve(folder):
    """Starts both, says where they are, and waits for the end. Returns what was wrong with them."""
    with reserved_address() as address, simulator(folder, address) as sim:
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
