"""The replacing rate is a function of the optimizer step, as in the paper."""

import pytest

from secateur.errors import SecateurError
from secateur.methods.theseus import Schedule


def rates(**settings):
    schedule = Schedule(**{"ratio": 0.5, "rate": 0.2, **settings})
    return [schedule.rate(step, total=8) for step in range(8)]


def test_the_curriculum_grows_to_1_and_stays():
    assert rates(kind="linear") == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])


def test_a_constant_rate_becomes_1():
    assert rates(kind="constant") == [0.2, 0.2, 0.2, 0.2, 1, 1, 1, 1]


def test_the_anti_curriculum_is_what_the_curriculum_leaves():
    assert rates(kind="anti") == pytest.approx([0.8, 0.6, 0.4, 0.2, 0, 0, 0, 0])


def test_steps_go_before_the_ratio():
    assert rates(kind="linear", steps=2) == pytest.approx([0.2, 0.6, 1, 1, 1, 1, 1, 1])


def test_the_readmes_setting():
    """b = 0.3 and k = 0.0006, on MRPC: the rate is 1 from step 1167 on."""
    schedule = Schedule(kind="linear", rate=0.3, ratio=1.0, steps=1167)
    assert schedule.rate(500, total=1725) == pytest.approx(0.0006 * 500 + 0.3, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "cosine"}, "schedule=cosine: must be one of constant, linear, anti"),
        ({"rate": -0.1}, r"rate=-0\.1: must lie in \[0, 1\][^\n]*"),
        ({"rate": 1.1}, r"rate=1\.1: must lie in \[0, 1\][^\n]*"),
        ({"ratio": 0.0}, r"replacing_ratio=0\.0: must lie in \(0, 1\][^\n]*"),
        ({"ratio": 1.5}, r"replacing_ratio=1\.5: must lie in \(0, 1\][^\n]*"),
        ({"steps": 0}, "replacing_steps=0: must be at least 1, or null to use replacing_ratio"),
        ({"kind": "constant", "rate": 0}, "rate=0: with schedule=constant nothing is replaced; give a rate above 0"),
        ({"kind": "anti", "rate": 1}, "rate=1: with schedule=anti nothing is replaced; give a rate below 1"),
    ],
)
def test_refuses_what_never_replaces_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=f"^{message}$"):
        Schedule(**{"kind": "linear", "rate": 0.3, "ratio": 0.5, **settings})


def test_refuses_a_phase_that_ends_before_the_rate_is_1():
    """With the released code's default of 0 steps the rate jumps to 1, or never grows: here both are refused."""
    Schedule(kind="linear", rate=0.3, ratio=0.5, steps=10).check(10)
    with pytest.raises(SecateurError, match=r"^replacing_steps=11: the phase has 10 optimizer steps, [^\n]*$"):
        Schedule(kind="linear", rate=0.3, ratio=0.5, steps=11).check(10)


def test_warns_of_an_anti_curriculum_that_ends_before_its_phase(caplog):
    Schedule(kind="anti", rate=0.2, ratio=1).check(8)
    Schedule(kind="linear", rate=0.2, ratio=0.5).check(8)
    assert not caplog.messages
    Schedule(kind="anti", rate=0.2, ratio=0.5).check(8)
    assert "nothing is replaced after 4 of 8 optimizer steps" in caplog.text
