"""Values of the wrong type are reported under the key that the user set, before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from secateur.configuration.checks import checked
from secateur.errors import SecateurError
from tests.small_runs import composed

MISTAKES = {
    # YAML and Hydra make truth values of true and false alone; "no" is a string, and so was true.
    "no": (["method=theseus", "method.train_head=no"], "method.train_head=no: must be true or false"),
    "a word for a number": (["method=layerdrop", "method.p=abc"], "method.p=abc: must be a number"),
    "nothing for a number": (["method=theseus", "method.rate=null"], "method.rate=null: must be a number"),
    "no number": (["method=theseus", "method.rate=nan"], "method.rate=nan: must be a number"),
    "half a step": (
        ["method=theseus", "method.replacing_steps=1.5"],
        "method.replacing_steps=1.5: must be a whole number or null",
    ),
    "a truth value for a number": (
        ["method=theseus", "method.modules=true"],
        "method.modules=True: must be a whole number or null",
    ),
    "one number for lists": (
        ["method=theseus", "method.mixes=1"],
        "method.mixes=1: must be a list of lists of whole numbers or null",
    ),
    "one number for a list": (
        ["method=truncate", "sparsity=null", "method.keep=0"],
        "method.keep=0: must be a list of whole numbers or null",
    ),
    "half a layer in a list": (
        ["method=truncate", "sparsity=null", "method.keep=[0,1.5]"],
        "method.keep=[0, 1.5]: must be a list of whole numbers or null",
    ),
    "a loss, which steps refer to": (
        ["method=truncate", "distillation=patient", "distillation.loss.beta=abc"],
        "distillation.loss.beta=abc: must be a number",
    ),
    "a step's own": (
        ["method.steps.recover.batch_size=8.5"],
        "method.steps.recover.batch_size=8.5: must be a whole number",
    ),
    "a phase's, of its base class": (
        ["method.steps.recover.epochs=many"],
        "method.steps.recover.epochs=many: must be a number",
    ),
}


@pytest.mark.parametrize(("overrides", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_value_of_the_wrong_type_is_told_by_its_key(overrides: Sequence[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(SecateurError) as refused:
        checked(composed(*overrides, output=tmp_path))
    assert str(refused.value) == message


def test_whole_numbers_are_numbers(tmp_path: Path) -> None:
    checked(composed("method=layerdrop", "method.p=1", "method.steps.recover.epochs=1", output=tmp_path))
