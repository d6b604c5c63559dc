"""The picture in the README is what the client shows of that conversation today."""

import html
import os
import re
import subprocess
import sys

import documented
from hubbub import BUILD, ROOT


def texts(svg):
    """The lines of the picture, and the colours in them, without times and date."""
    lines = re.findall("<text .*</text>", svg)
    told = [html.unescape(re.sub("<[^>]*>", "", line)) for line in lines]
    return ([re.sub(r"^(\d\d:\d\d|- \w+ \d+ \w+ \d+ -)", "", line) for line in told],
            [re.findall(r"fill=\"(#\w+)\"", line) for line in lines[1:]])


def test_the_picture_in_the_readme_is_what_the_client_shows(tmp_path):
    made = tmp_path / "client.svg"
    done = subprocess.run([sys.executable, os.path.join(ROOT, "docs/screenshot.py"), "--svg", str(made)],
                          env={**os.environ, "BUILD_DIR": os.path.abspath(BUILD)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert texts(made.read_text()) == texts(documented.read("docs/client.svg"))
    assert "(docs/client.svg)" in documented.read("README.md")
