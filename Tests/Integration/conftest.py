"""Fixtures of the integration tests: labs, and the programs' logs beside a failure."""

import os
import sys

import pytest

import lab as labs

# What Tests/requirements.sh installs from PyPI.
sys.path.append(str(labs.REPOSITORY / ".build" / "python"))


def pytest_configure(config):
    # pytest-xdist sets it, and the programs honour it.
    os.environ.pop("COLUMNS", None)
    config.addinivalue_line("markers", "network_only: needs a lab but none of the programs")
    config.addinivalue_line("markers", "no_lab: needs neither a lab nor the installed programs")
    config.addinivalue_line("markers", "long: takes more than 15 seconds, and begins before the others")
    config.addinivalue_line("markers", "xdist_group(name): these run in turn, as they share a fixture or the processor")
    config.why_not = labs.why_not()


def pytest_collection_modifyitems(items):
    """Puts the long tests first, or one of them would run alone at the end."""
    items.sort(key=lambda item: "long" not in item.keywords)


@pytest.fixture(autouse=True)
def _can_run(request):
    if "no_lab" in request.keywords:
        return
    if request.config.why_not:
        pytest.skip(request.config.why_not)
    if labs.programs() is None and "network_only" not in request.keywords:
        pytest.skip("the programs are not built; 'make build', or BUILD=DIRECTORY")


@pytest.fixture
def flat():
    """flat(3): a lab with a relay and three devices on one switch; nothing runs yet."""
    made = []

    def make(devices):
        made.append(labs.Lab.flat(devices))
        return made[-1]

    yield make
    for lab in made:
        lab.close()


@pytest.fixture
def nat():
    """A lab with two levels of NAT; nothing runs yet."""
    with labs.Lab.nat() as lab:
        yield lab


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for lab in labs.Lab.all:
            report.sections += [(f"the end of what {name} said", text) for name, text in lab.logs()]
