"""Exactly the requested number of weights is zeroed, the smallest first, and none is revived."""

from __future__ import annotations

import pytest
import torch

from secateur.errors import SecateurError
from secateur.methods.ranking import Amount, Matrices, keep_largest, keep_of_every, zero_out
from secateur.structure.fixed_zeros import declared_patterns, masks_of


def zeros(masks: list[torch.Tensor]) -> list[int]:
    return [int((~mask).sum()) for mask in masks]


@pytest.fixture
def pair() -> list[torch.Tensor]:
    """Small weights and large ones, 20 and 10 of them."""
    torch.manual_seed(0)
    return [0.01 * torch.randn(4, 5), torch.randn(5, 2)]


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.34, 0.5, 0.97])
def test_the_smallest_reachable_figure_not_below_the_request(pair, sparsity):
    import math

    of_each = Amount(sparsity=sparsity).masks([pair], seed=1)
    assert zeros(of_each) == [math.ceil(20 * sparsity - 1e-6), math.ceil(10 * sparsity - 1e-6)]
    together = Amount(sparsity=sparsity, scope="global").masks([pair], seed=1)
    assert sum(zeros(together)) == math.ceil(30 * sparsity - 1e-6)
    for masks in (of_each, together):
        for weight, mask in zip(pair, masks, strict=True):
            assert mask.shape == weight.shape
            if 0 < mask.sum() < mask.numel():
                assert weight[mask].abs().min() > weight[~mask].abs().max()


def test_together_the_small_matrix_pays_and_groups_are_apart(pair):
    assert zeros(Amount(sparsity=0.5, scope="global").masks([pair], seed=1)) == [15, 0]
    assert zeros(Amount(sparsity=0.5, scope="global").masks([pair[:1], pair[1:]], seed=1)) == [10, 5]


def test_of_equals_the_first_go_and_zeros_before_all():
    (mask,) = keep_largest([torch.ones(2, 3)], sparsity=0.5)
    assert mask.tolist() == [[False] * 3, [True] * 3]
    weights = torch.ones(2, 3)
    weights[1, 1] = 0
    for ranking in ("magnitude", "random"):
        (mask,) = Amount(sparsity=1 / 6, ranking=ranking).masks([[weights]], seed=3)
        assert (~mask).nonzero().tolist() == [[1, 1]]


def test_random_masks_follow_the_seed_and_grow(pair):
    amount = Amount(sparsity=0.6, ranking="random")
    whole, again, other = (amount.masks([pair], seed=seed) for seed in (1, 1, 2))
    assert all(map(torch.equal, whole, again))
    assert not all(map(torch.equal, whole, other))
    half = amount.masks([pair], seed=1, share=0.5)
    assert zeros(half) == [6, 3]
    assert all((early | ~late).all() for early, late in zip(half, whole, strict=True))


@pytest.mark.parametrize(("kept", "group"), [(2, 4), (1, 4), (1, 2)])
def test_n_of_every_m_stay(kept, group):
    score = torch.rand(3, 10, generator=torch.Generator().manual_seed(0))
    mask = keep_of_every(score, kept=kept, group=group)
    for begin in range(0, 10, group):
        part, values = mask[:, begin : begin + group], score[:, begin : begin + group]
        assert part.sum(1).tolist() == [min(kept, part.shape[1])] * 3
        best = values.topk(min(kept, part.shape[1])).indices
        assert part.gather(1, best).all()
    assert keep_of_every(torch.rand(3, 0), kept=kept, group=group).shape == (3, 0)
    assert keep_of_every(torch.rand(0, 4), kept=kept, group=group).shape == (0, 4)


def test_a_pattern_grows_slot_by_slot(pair):
    amount = Amount(pattern="1:4")
    assert amount.target == 0.75
    wide = [torch.rand(6, 8)]
    assert [zeros(amount.masks([wide], seed=1, share=share))[0] for share in (0, 1 / 3, 0.5, 1)] == [0, 12, 24, 36]


def test_matrices_are_the_layers_and_what_is_included_apart(make_model):
    model = make_model()
    name = "embeddings.word_embeddings.weight"
    matrices = Matrices(model, include=[name, "encoder.layer.*.output.dense.weight"])
    assert [len(group) for group in matrices.groups] == [18, 1]
    zero_out(model, matrices, Amount(sparsity=0.25, scope="global").masks(matrices.weights, seed=1))
    assert matrices.sparsity == pytest.approx(0.25, abs=1e-4)
    embeddings = model.bert.embeddings.word_embeddings.weight
    assert int((embeddings == 0).sum()) == -(-embeddings.numel() // 4)
    assert declared_patterns(model.config)[-1] == name
    assert masks_of(model).keys() == matrices.by_name.keys()
    assert model.bert.embeddings.position_embeddings.weight.all()
    with pytest.raises(SecateurError, match=r"^include=pooler\.dense\.weight: the model has no such matrix[^\n]*$"):
        Matrices(model, include=["pooler.dense.weight"])


@pytest.mark.parametrize(
    ("amount", "most"),
    [(Amount(sparsity=0.5), 0.51), (Amount(sparsity=0.5, scope="global"), 0.5001), (Amount(pattern="2:4"), 0.5)],
)
def test_uneven_models_are_pruned_too(make_model, amount, most):
    """Layers without heads or units have matrices without weights; of a row's last, shorter group more may stay."""
    model = make_model(uneven=True)
    matrices = Matrices(model)
    zero_out(model, matrices, amount.masks(matrices.weights, seed=1))
    assert (0.5 if amount.pattern is None else 0.45) <= matrices.sparsity <= most


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "sparsity=null: amount to remove not given"),
        ({"sparsity": 1.0}, r"sparsity=1\.0: must lie in \[0, 1\)"),
        ({"sparsity": 0.5, "pattern": "2:4"}, "pattern=2:4: cannot be combined with sparsity="),
        ({"pattern": "4:2"}, 'pattern=4:2: must be "N:M"'),
        ({"pattern": "0:4"}, 'pattern=0:4: must be "N:M"'),
        ({"pattern": 124}, 'pattern=124: must be "N:M"'),
        ({"pattern": "2:4", "scope": "global"}, "scope=global: has no effect"),
        ({"sparsity": 0.5, "scope": "layer"}, "scope=layer: must be one of matrix, global"),
        ({"sparsity": 0.5, "ranking": "gain"}, "ranking=gain: must be one of magnitude, random"),
    ],
)
def test_refuses_bad_settings_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        Amount(**settings)
