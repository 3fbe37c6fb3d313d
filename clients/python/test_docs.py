"""The snippets of docs/clients.md, run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
RUNNERS = {"python": [sys.executable, "-c"], "sh": ["bash", "-euc"]}
SNIPPETS = re.findall(r"^## (.+?)$|^```(python|sh) run\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def cases():
    title = "Environment"
    for heading, language, text in SNIPPETS:
        title = heading or title
        if language:
            yield pytest.param(language, text, id=f"{title}, {language}")


@pytest.mark.parametrize(("language", "text"), list(cases()))
def test_a_snippet_of_the_page_runs_and_prints_an_answer(stand, language, text):
    assert "http://127.0.0.1:8080" in text
    # The gateway of the test is on another port; `python3` is the one that has the clients.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "TOKENWEIR_API_KEY": stand.key, "PATH": path}
    command = [*RUNNERS[language], text.replace("http://127.0.0.1:8080", stand.gateway)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_page_has_snippets_in_both_languages():
    assert {language for _, language, _ in SNIPPETS} >= {"python", "sh"}
