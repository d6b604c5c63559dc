"""What `ninja -C build install` puts where it is looked for."""

import json
import os
import re
import subprocess

from hubbub import BUILD, PATIENCE, ROOT

PROGRAMS = ("hubbub", "hubbub-gateway", "hubbub-store")


def test_the_programs_their_pages_and_the_completion_are_installed():
    said = subprocess.run(["meson", "introspect", BUILD, "--installed"], capture_output=True, text=True, check=True,
                          timeout=PATIENCE).stdout
    installed = {os.path.relpath(where, "/usr/local") for where in json.loads(said).values()}
    assert installed == {"bin/hubbub", "bin/hubbub-gateway", "bin/hubbub-store", "share/man/man1/hubbub.1",
                         "share/man/man8/hubbub-gateway.8", "share/man/man8/hubbub-store.8",
                         "share/bash-completion/completions/hubbub"}


def test_every_setting_that_the_pages_name_is_there():
    with open(os.path.join(ROOT, "docs/SETTINGS.md")) as file:
        known = set(re.findall(r"`(HUBBUB_\w+)`", file.read()))
    for name in PROGRAMS:
        with open(os.path.join(ROOT, "docs/man", name + (".1" if name == "hubbub" else ".8"))) as file:
            named = set(re.findall(r"HUBBUB_[A-Z_]+[A-Z]", file.read()))
        assert named and named <= known, name
