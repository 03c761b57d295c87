"""Links and processes that stand still for a while: everybody is back by themselves. All of them wait at once."""

import time

import pytest

from lab import Lab, programs
from wellness import Cut, Traffic, all_is_well, all_is_well_under, beside

# What they share begins once, and takes a minute.
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("standstill")]


def cut_for(seconds):
    """The link of a device, under traffic."""

    def fault(lab, running):
        traffic = Traffic(lab)
        cut = Cut(lab["d1"])
        time.sleep(seconds)
        cut.mend()
        all_is_well_under(lab, traffic)

    return fault


def relay_cut_off(lab, running):
    """All devices at once."""
    cut = Cut(lab.relay)
    time.sleep(10)
    cut.mend()
    all_is_well(lab)


def stopped(name):
    def fault(lab, running):
        running[name].pause()
        time.sleep(10)
        running[name].resume()
        all_is_well(lab)

    return fault


FAULTS = {
    "a link cut for 1 s": cut_for(1),
    "a link cut for 10 s": cut_for(10),
    "a link cut for 60 s": cut_for(60),
    "a relay without a link for 10 s": relay_cut_off,
    "a stopped relay": stopped("relay"),
    "a stopped device": stopped("d1"),
}


@pytest.fixture(scope="module")
def standstill(request):
    """{fault: a function that waits for its test}; all that are wanted begin at once, each in a lab of its own."""
    items = [item for item in request.session.items if item.originalname == _STANDSTILL]
    can_run = not request.config.why_not and programs()
    wanted = [item.callspec.params["fault"] for item in items] if can_run else []
    labs = {fault: Lab.flat(2) for fault in wanted}
    waits = {}

    def run(fault, lab):
        running = lab.start_all()
        all_is_well(lab)
        FAULTS[fault](lab, running)

    try:
        waits = {fault: beside(lab, lambda fault=fault, lab=lab: run(fault, lab)) for fault, lab in labs.items()}
        yield waits
    finally:
        for wait in waits.values():
            try:
                wait()
            except Exception:  # its own test has told
                pass
        for lab in labs.values():
            lab.close()


@pytest.mark.parametrize("fault", FAULTS)
def test_all_is_well_after_a_standstill(standstill, fault):
    """A cut link, a stopped relay, a stopped device: everybody is back by themselves."""
    standstill[fault]()


_STANDSTILL = test_all_is_well_after_a_standstill.__name__
