"""The gate phase finds dispensable heads and units, does not change the weights, and reaches its target."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from secateur.configuration.checks import checked
from secateur.errors import SecateurError
from secateur.methods.base import State
from secateur.methods.l0 import Amount, GatePhase, HardConcrete
from secateur.methods.l0.gates import HardConcreteGates
from secateur.methods.l0.training import GatedObjective, GateTraining
from secateur.runs.predecessor import NO_ORIGINS
from secateur.runs.workshop import open_workshop
from secateur.structure.gates import PerGate
from secateur.structure.gating import gated
from secateur.structure.shape import structure_sizes
from tests.small_runs import composed

SETTINGS: dict[str, Any] = {
    "distribution": HardConcrete(beta=2 / 3, lower=-0.1, upper=1.1),
    "epochs": 4,
    "batch_size": 16,
    "accumulate_grad_batches": 1,
    "gate_learning_rate": 0.3,
    "initial_openness": 0.98,
    "initial_spread": 0.01,
    "max_alpha": 4.605,
    "constraint_weight": 100.0,
    "multiplier_rate": 0.3,
    "target_warmup_ratio": 0.7,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
}


def phase(**changes: Any) -> GatePhase:
    return GatePhase(**{**SETTINGS, "amount": Amount(sparsity=0.5), **changes})


def test_a_target_is_met_by_both_kinds_and_weights_stay_as_they_are(make_model, make_context):
    model = make_model()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    state = phase(epochs=24, gate_learning_rate=None, target_warmup_ratio=0.9).run(State(model=model), make_context())
    assert state.details["open_fraction"] == pytest.approx({"heads": 0.5, "units": 0.5}, abs=0.06)
    assert len(state.details["multipliers"]) == 2
    assert ([len(each) for each in state.importance.heads], [len(each) for each in state.importance.units]) == (
        structure_sizes(model)
    )
    for name, weight in state.model.named_parameters():
        assert weight.equal(before[name])
        assert weight.requires_grad
    assert not state.model.training
    assert not phase().changes_model


def test_a_target_that_is_missed_is_told(make_model, make_context, caplog):
    """The threshold takes as many as were asked for all the same, open ones among them."""
    phase(epochs=0.25).run(State(model=make_model()), make_context(name="short"))
    assert "too few of the gates are closed, and only their rank decides about those" in caplog.text


def test_a_joint_target_and_a_price(make_model, make_context):
    joint = phase(amount=Amount(sparsity=0.5, split="joint")).run(State(model=make_model()), make_context(name="joint"))
    assert len(joint.details["multipliers"]) == 1
    dear = phase(amount=Amount(budget_units=300, threshold=0)).run(State(model=make_model()), make_context(name="dear"))
    cheap = phase(amount=Amount(budget_units=1e-6, threshold=0)).run(
        State(model=make_model()), make_context(name="cheap")
    )
    assert list(dear.details) == list(cheap.details) == ["open_fraction"]
    assert dear.details["open_fraction"]["units"] < 0.5 < cheap.details["open_fraction"]["units"]
    assert torch.cat(dear.importance.heads).eq(1).all()


def test_refuses_a_model_without_anything_to_gate():
    phase().check(heads=[0, 1], units=[3, 0])
    with pytest.raises(SecateurError, match=r"^gates=heads: the model has no heads left; [^\n]+$"):
        phase().check(heads=[0, 0], units=[3, 3])


def test_units_apart_after_heads_keep_what_was_found_of_heads(make_model, make_context):
    model = make_model()
    heads = phase(gates="heads").run(State(model=model), make_context(name="heads"))
    both = phase(gates="units").run(heads, make_context(name="units"))
    assert all(map(torch.equal, both.importance.heads, heads.importance.heads))
    assert not torch.cat(both.importance.units).eq(1).any()
    assert torch.cat(heads.importance.units).eq(1).all()


def test_trained_weights_take_the_gates_in(make_model, make_context):
    """What the model computes alone afterwards is what it computed under the gates."""
    model, batch = make_model(), {"input_ids": torch.arange(5, 25)[None]}
    step = phase(train_weights=True, epochs=1)
    before = model.get_parameter("bert.encoder.layer.0.output.dense.weight").clone()
    seen: dict[str, torch.Tensor] = {}
    context = make_context()

    from secateur.methods.l0 import phase as module

    def watch(model, gates):
        with torch.inference_mode(), gated(model.eval(), gates):
            seen["gated"] = model(**batch).start_logits
        plain(model, gates)

    plain = module.fold
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fold", watch)
        state = step.run(State(model=model), context)
    assert step.changes_model
    with torch.inference_mode():
        torch.testing.assert_close(state.model(**batch).start_logits, seen["gated"], atol=1e-5, rtol=0)
    assert not before.equal(model.get_parameter("bert.encoder.layer.0.output.dense.weight"))


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_is_a_setting(make_model, make_context, monkeypatch, dropout):
    modes = []
    plain = GateTraining.training_step

    def watched(self, batch):
        modes.append((self.training, self.model.training))
        return plain(self, batch)

    monkeypatch.setattr(GateTraining, "training_step", watched)
    phase(dropout=dropout, epochs=2).run(State(model=make_model()), make_context())
    assert set(modes) == {(True, dropout)}


def test_uneven_models_have_gates_too(make_model, make_context):
    model = make_model(uneven=True)
    state = phase(epochs=1).run(State(model=model), make_context())
    assert [len(each) for each in state.importance.heads] == structure_sizes(model)[0]


def test_another_kinds_amount_is_not_this_phases_business():
    assert phase(gates="units", amount=Amount(heads=0.97, units=0.5)).kinds == ("units",)
    assert phase(amount=Amount(sparsity=0.96), max_alpha=6.0).kinds == ("heads", "units")


def test_gates_are_drawn_once_for_each_forward_pass(make_model, make_context, monkeypatch):
    """Also within the batches of one optimizer step (McCarley et al., section 3.2, item 4)."""
    draws = []
    plain = HardConcreteGates.sample

    def watched(self):
        draws.append(torch.cat(plain(self).units).detach())
        return plain(self)

    passes = []
    step = GateTraining.training_step
    monkeypatch.setattr(HardConcreteGates, "sample", watched)
    monkeypatch.setattr(GateTraining, "training_step", lambda self, batch: (passes.append(1), step(self, batch))[1])
    phase(epochs=1, accumulate_grad_batches=3).run(State(model=make_model()), make_context())
    assert len(draws) == len(passes) > 3
    assert not any(map(torch.equal, draws, draws[1:]))


def test_alpha_stays_within_its_limit(make_model, make_context, monkeypatch):
    """A gate that is surely closed gets no gradient to open again."""
    found = []
    plain = GatedObjective.after_step

    def watched(self, **options):
        plain(self, **options)
        found.append(torch.cat(list(self.gates.alpha_N.values())).abs().max().item())

    monkeypatch.setattr(GatedObjective, "after_step", watched)
    phase(epochs=4, gate_learning_rate=2.0).run(State(model=make_model()), make_context())
    assert max(found) == pytest.approx(4.605)


def test_alpha_never_decays_and_trained_weights_do(make_model, make_context, monkeypatch):
    groups = []
    plain = GateTraining.configure_optimizers

    def watched(self):
        optimizer = plain(self)
        groups.extend((group["weight_decay"], group["lr"], len(group["params"])) for group in optimizer.param_groups)
        return optimizer

    monkeypatch.setattr(GateTraining, "configure_optimizers", watched)
    phase(epochs=0.3, train_weights=True).run(State(model=make_model()), make_context(name="both"))
    assert [group[:2] for group in groups] == [(0.0, 0.3), (0.01, 1e-3), (0.0, 1e-3)]
    groups.clear()
    phase(epochs=0.3).run(State(model=make_model()), make_context(name="alone"))
    assert groups == [(0.0, 0.3, 2)]


def test_a_loss_that_is_no_number_names_the_gates_learning_rate(make_model, make_context):
    model = make_model()
    with torch.no_grad():
        model.get_parameter("qa_outputs.bias").fill_(float("nan"))
    with pytest.raises(SecateurError, match=r"lower its learning rate \(now 0\.3\)"):
        phase().run(State(model=model), make_context())


def test_gates_stay_in_single_precision_where_the_model_computes_in_half(make_model, tmp_path):
    """Steps of 0.03 on an α of 4 would be lost in bfloat16."""
    config = checked(composed("trainer.precision=bf16-mixed", output=tmp_path))
    context = open_workshop(config, config.model).context(
        name="gate", seed=1, data_seed=1, folder=tmp_path, origins=NO_ORIGINS
    )
    found = phase(epochs=24, gate_learning_rate=None, target_warmup_ratio=0.9).run(State(model=make_model()), context)
    assert torch.cat(found.importance.units).dtype == torch.float32
    assert found.details["open_fraction"] == pytest.approx({"heads": 0.5, "units": 0.5}, abs=0.06)


def test_same_seed_same_gates(make_model, make_context):
    def found(seed: int, *, name: str) -> PerGate:
        torch.rand(len(name))  # whatever was drawn elsewhere
        return phase(epochs=1).run(State(model=make_model()), make_context(seed=seed, name=name)).importance

    one, same, other = found(1, name="a"), found(1, name="bb"), found(2, name="c")
    assert all(map(torch.equal, one.units, same.units))
    assert not all(map(torch.equal, one.units, other.units))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gates": "all"}, "gates=all: must be heads, units or both"),
        ({"gates": "heads", "amount": Amount(units=0.5)}, "gates=heads: no amount is set for heads"),
        ({"gates": "units", "amount": Amount(sparsity=0.5, split="joint")}, "gates=units: split=joint"),
        ({"initial_openness": 1.0}, r"initial_openness=1\.0: must lie in \(0, 1\)"),
        ({"initial_openness": 0.9999}, r"initial_openness=0\.9999: is beyond max_alpha"),
        ({"gate_learning_rate": 0}, "gate_learning_rate=0: must be above 0"),
        ({"multiplier_rate": 0}, "multiplier_rate=0: must be above 0"),
        ({"target_warmup_ratio": 1.5}, r"target_warmup_ratio=1\.5: must lie in \[0, 1\]"),
        ({"epochs": 0}, "epochs=0: must be above 0"),
        (
            {"amount": Amount(sparsity=0.96)},
            r"sparsity=0\.96: at most 0\.953 of the gates can close with max_alpha=4\.605; raise it",
        ),
        ({"amount": Amount(heads=0.97, units=0.5)}, r"heads=0\.97: at most 0\.953 of the gates can close"),
    ],
)
def test_refuses_bad_settings_in_one_line(settings, message):
    with pytest.raises(SecateurError, match=rf"^{message}[^\n]*$"):
        phase(**settings)
