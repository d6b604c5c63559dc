"""alongside: tests that mostly wait run beside the others, each in a process and on an installation of its own.

A test marked `@pytest.mark.alongside(seconds)` (about how long it takes) is begun when the first test begins, a few at
a time, the longest first; its turn in the order of tests only collects what came out.  It may use the fixtures
make_hubbub and record_property, and parameters.
"""

import concurrent.futures
import inspect
import multiprocessing
import signal
import traceback

import pytest

from hubbub import Hubbub
from place import die_with_parent

AT_ONCE = 4

pool = None
begun = {}  # node id -> future


class Made:
    """What the fixture make_hubbub gives, for one test in its own process."""

    def __init__(self):
        self.all = []

    def __call__(self, *arguments, **options):
        self.all.append(Hubbub(*arguments, **options))
        return self.all[-1].start()

    def end(self):
        problems = [problem for one in self.all for problem in one.stop()]
        logs = "".join(f"\n{one.logs()}" for one in self.all)
        for one in self.all:
            one.remove()
        return problems, logs


def run(function, parameters):
    """In the other process: returns the properties that the test recorded, and why it failed ("": it did not)."""
    made, properties = Made(), []
    given = {"make_hubbub": made, "record_property": lambda *one: properties.append(one), **parameters}
    failure = ""
    try:
        function(**{name: given[name] for name in inspect.signature(function).parameters})
    except BaseException:
        failure = traceback.format_exc()
    problems, logs = made.end()
    failure = "\n".join([failure] * bool(failure) + problems)
    return properties, failure and failure + logs


def mark_of(item):
    return item.get_closest_marker("alongside")


def pytest_configure(config):
    config.addinivalue_line("markers", "alongside(seconds): runs beside the others, see alongside.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: mark_of(item) is not None)  # these last: by then most of them are done


def pytest_collection_finish(session):
    global pool
    marked = sorted((item for item in session.items if mark_of(item)), key=lambda item: -mark_of(item).args[0])
    if not marked or session.config.option.collectonly:
        return
    pool = concurrent.futures.ProcessPoolExecutor(AT_ONCE, multiprocessing.get_context("fork"),
                                                  die_with_parent(signal.SIGTERM))
    for item in marked:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        begun[item.nodeid] = pool.submit(run, item.function, parameters)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if pyfuncitem.nodeid not in begun:
        return None
    properties, failure = begun[pyfuncitem.nodeid].result()
    pyfuncitem.user_properties += properties
    for name, value in properties:
        print(f"{name}: {value}")
    if failure:
        pytest.fail(failure, pytrace=False)
    return True


def pytest_sessionfinish(session):
    if pool:
        pool.shutdown(cancel_futures=True)
