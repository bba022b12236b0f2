"""Which layers are kept: explicit lists, compared with those of the papers."""

import pytest

from secateur.errors import SecateurError
from secateur.methods.layer_choice import LayerAmount, check_removal, kept_layers


@pytest.mark.parametrize(
    ("count", "left", "expected"),
    [
        (12, 6, [0, 2, 4, 6, 8, 10]),
        (12, 8, [0, 1, 3, 4, 6, 7, 9, 10]),
        (12, 9, [0, 1, 2, 4, 5, 6, 8, 9, 10]),
        (6, 4, [0, 1, 3, 4]),
        (5, 3, [0, 2, 4]),
        (7, 4, [0, 2, 4, 6]),
        (6, 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_every_other_is_the_papers_rule_for_layers_counted_from_1(count, left, expected):
    """Fan et al., section 3.2: those go whose number is 0 modulo floor(1 / p)."""
    assert kept_layers(count, left, remove="every_other") == expected
    distance = count // (count - left) if left < count else count + 1
    assert [number for number in range(count) if (number + 1) % distance] == expected


@pytest.mark.parametrize(
    ("count", "left", "expected"),
    [(12, 3, [0, 4, 8]), (6, 2, [0, 3]), (6, 1, [0]), (5, 4, [0, 1, 2, 3]), (9, 5, [0, 2, 4, 6, 8])],
)
def test_every_other_goes_on_to_work_where_the_rule_would_remove_all(count, left, expected):
    assert kept_layers(count, left, remove="every_other") == expected


@pytest.mark.parametrize(("remove", "expected"), [("last", [0, 1, 2]), ("first", [3, 4, 5]), ("middle", [0, 1, 5])])
def test_blocks(remove, expected):
    assert kept_layers(6, 3, remove=remove) == expected


@pytest.mark.parametrize("remove", ["every_other", "first", "last", "middle"])
@pytest.mark.parametrize("left", range(1, 8))
def test_as_many_stay_as_were_asked_for(remove, left):
    kept = kept_layers(7, left, remove=remove)
    assert len(set(kept)) == left
    assert kept == sorted(kept)
    assert set(kept) <= set(range(7))


@pytest.mark.parametrize(("sparsity", "left"), [(0.0, 6), (0.1, 5), (0.5, 3), (0.51, 2), (0.8, 1)])
def test_sparsity_is_the_least_that_may_go(sparsity, left):
    assert LayerAmount(sparsity=sparsity).left_of(6) == left


def test_other_ways_to_say_it():
    assert LayerAmount(layers=4).left_of(6) == 4
    assert LayerAmount(keep=[0, 5]).left_of(6) == 2


def test_a_whole_layer_above_the_request_is_worth_a_warning(caplog):
    LayerAmount(sparsity=0.5).check(6)
    LayerAmount(sparsity=0.3).check(6)
    assert not caplog.records
    LayerAmount(sparsity=0.4).check(6)
    assert caplog.messages == ["sparsity=0.4: only complete layers are removed, so it is 3 of 6 layers, which is 0.50"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "sparsity=null: number of layers to remove not given; set sparsity or method.layers"),
        ({"sparsity": 0.5, "layers": 3}, r"layers=3: cannot be combined with sparsity=0\.5; set sparsity=null"),
        ({"sparsity": 0.5, "keep": [0]}, r"keep=\[0\]: cannot be combined with sparsity=0\.5; set sparsity=null"),
        ({"layers": 1, "keep": [0]}, r"keep=\[0\]: cannot be combined with layers=1; give one or the other"),
        ({"layers": 0}, "layers=0: must be at least 1; no layer would be left"),
        ({"keep": []}, r"keep=\[\]: must be a list of layer indices from 0, ascending, at least one"),
        ({"keep": [2, 1]}, r"keep=\[2, 1\]: must be a list of layer indices from 0, ascending, at least one"),
        ({"keep": [-1, 1]}, r"keep=\[-1, 1\]: must be a list of layer indices from 0, ascending, at least one"),
    ],
)
def test_refuses_contradictions_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=f"^{message}$"):
        LayerAmount(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep": [0, 6]}, r"keep=\[0, 6\]: the model's layers are 0 to 5; keep only these"),
        ({"layers": 7}, "layers=7: the model has only 6; give at most as many"),
        ({"sparsity": 0.9}, r"sparsity=0\.9: leaves none of 6 layers; give at most 0\.83"),
    ],
)
def test_refuses_what_a_model_cannot_do(settings, message):
    with pytest.raises(SecateurError, match=f"^{message}$"):
        LayerAmount(**settings).check(6)


def test_refuses_an_unknown_way_of_choosing():
    with pytest.raises(SecateurError, match=r"^remove=odd: must be one of every_other, first, last, middle, search$"):
        check_removal("odd", also=("search",))
