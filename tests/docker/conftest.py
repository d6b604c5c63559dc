"""Fixtures: `project` is shared by all tests, in their order; `tell` keeps what a test measured, for the end."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy"))
from project import Project  # noqa: E402


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    directory.chmod(0o755)
    os.chmod(directory.parent, 0o755)
    made = Project(str(directory))
    made.remove()  # what an earlier run left when it was killed
    try:
        made.build()
        yield made
    finally:
        made.remove()


@pytest.fixture
def tell(record_property):
    """What a test measured; shown at the end."""
    return lambda text: record_property("counts", text)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed and "project" in item.funcargs:
        report.sections.append(("the ends of the logs", item.funcargs["project"].logs()))
