"""Fixtures: `hubbub` is shared by a file's tests, which leave it as it was; `own_hubbub` is a test's alone, which may
kill what it likes; `make_hubbub` makes one to measure.  Each fails if anything in it crashed or leaked."""

import pytest

from alongside import (pytest_collection_finish, pytest_collection_modifyitems,  # noqa: F401
                       pytest_configure, pytest_pyfunc_call, pytest_sessionfinish)
from hubbub import Hubbub


def started(*arguments, **options):
    made = Hubbub(*arguments, **options)
    try:
        return made.start()
    except BaseException:
        print(made.logs())
        made.stop()
        made.remove()
        raise


def ended(installation):
    problems = installation.stop()
    logs = installation.logs() if problems else ""
    installation.remove()
    assert not problems, "\n".join(problems + [logs])


@pytest.fixture(scope="module")
def hubbub():
    made = started()
    yield made
    ended(made)


@pytest.fixture
def own_hubbub():
    made = started()
    yield made
    ended(made)


@pytest.fixture
def make_hubbub():
    """Called with the arguments of Hubbub."""
    made = []

    def make(*arguments, **options):
        made.append(started(*arguments, **options))
        return made[-1]

    make.made = made
    yield make
    for installation in made:
        ended(installation)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for name, value in item.funcargs.items():
            for one in [value] + getattr(value, "made", []):
                if isinstance(one, Hubbub):
                    report.sections.append((f"the ends of the logs of {name}", one.logs()))
