"""Experiments compose and build as shipped, and those with published figures have the published settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig
from transformers import BertConfig

from secateur.commands.compress import new_record
from secateur.commands.launch import config_path
from secateur.configuration.checks import checked
from secateur.configuration.schema import Config
from secateur.distillation import RepresentationDistillation
from secateur.errors import SecateurError
from secateur.methods.base import Step
from secateur.methods.deformer import Decomposition
from secateur.methods.finetune import FineTuning
from secateur.methods.l0 import GatePhase
from secateur.methods.layerdrop import LayerDrop
from secateur.methods.theseus import Replacement
from secateur.record import write_record
from secateur.runs.building import check_buildable
from secateur.structure.gates import PerGate

EXPERIMENTS = sorted(path.stem for path in Path(config_path(), "experiment").glob("[!_]*.yaml"))
LARGE = {"num_hidden_layers": 24, "num_attention_heads": 16, "hidden_size": 1024, "intermediate_size": 4096}

Built = Callable[[str], tuple[Config, dict[str, Step]]]

# What the user gives, by experiment.
GIVEN = {
    **{name: ("dataset=rte",) for name in EXPERIMENTS if name.startswith(("xu_", "fan_"))},
    "mccarley_transfer": ("method.gates={gates}",),
}

# McCarley et al., table 2: each row's multiple of the base prices.
MULTIPLES = {"d": 1, "e": 2, "f": 3, "g": 4}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Composes, checks and builds; folders stand in for what is downloaded, or run first."""
    folder = tmp_path_factory.mktemp("stand_ins")
    BertConfig(**LARGE).save_pretrained(folder / "large")

    def build(name: str) -> tuple[Config, dict[str, Step]]:
        given = [each.format(gates=folder / "gates") for each in GIVEN.get(name, ())]
        places = [f"model.checkpoint={folder / 'large'}", f"paths.output={folder / 'output'}"]
        config = checked(composed(name, *given, *places))
        return config, check_buildable(config)

    gates = PerGate(heads=torch.ones(24, 16).unbind(), units=torch.ones(24, 4096).unbind())
    step = folder / "gates" / "steps" / "02-threshold"
    step.mkdir(parents=True)
    gates.save(step / "gates.safetensors")
    write_record(new_record(build("mccarley_squad_v2_d")[0], folder / "gates", asked={}), folder / "gates")
    return build


def composed(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(config_path(), version_base="1.3"):
        return compose("compress", [f"experiment={name}", *overrides])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_composes_and_builds(name: str, built: Built) -> None:
    config, steps = built(name)
    assert list(steps) == config.method["order"]


@pytest.mark.parametrize(("row", "multiple"), MULTIPLES.items())
def test_squad_rows_have_the_papers_prices(row: str, multiple: int, built: Built) -> None:
    """1.875e-3 nats for a head and 7.5e-6 for a unit in row d, and its multiples; each kind in a phase of its own."""
    config, steps = built(f"mccarley_squad_v2_{row}")
    phases = {phase.kinds: phase for phase in steps.values() if isinstance(phase, GatePhase)}
    assert list(phases) == [("heads",), ("units",)]
    for (kind,), phase in phases.items():
        price = {"heads": 1.875e-3, "units": 7.5e-6}[kind]
        assert phase.amount.price(kind, gates=1) == pytest.approx(multiple * price)
        assert (phase.passes.epochs, phase.passes.batch_size, phase.gate_learning_rate) == (1, 24, 0.1)
        assert not phase.train_weights
    assert (config.sparsity, config.method["threshold"], config.distillation.name) == (None, 0, "none")
    assert steps["surgery"].evaluate


@pytest.mark.parametrize(("row", "heads", "units"), [("b", 0.42, 0.40), ("c", 0.53, 0.55), ("d", 0.68, 0.75)])
def test_nq_rows_remove_what_the_paper_removed(row: str, heads: float, units: float, built: Built) -> None:
    config, steps = built(f"mccarley_nq_{row}")
    for phase in (steps["gate_heads"], steps["gate_units"]):
        assert isinstance(phase, GatePhase)
        assert (phase.amount.heads, phase.amount.units, phase.passes.epochs) == (heads, units, 0.2)
    assert (config.model.name, config.distillation.name) == ("roberta_large", "logits")
    assert (config.dataset.name, config.dataset.max_seq_length) == ("natural_questions", 512)


def test_what_is_left_to_the_user_is_asked_for() -> None:
    """A published setting never falls back on the embedded data."""
    with pytest.raises(ConfigCompositionException, match="You must specify 'dataset'"):
        composed("xu_glue")


def test_rows_on_depth_train_for_as_long_as_each_other(built: Built) -> None:
    """Their tables stand side by side: as many layers, and as many passes over the data."""
    asked = {name: built(name) for name in ("xu_glue", "xu_baselines", "fan_glue")}
    starts = {"xu_baselines": "remove", "fan_glue": "drop"}
    assert all(asked[name][1][step].needs_pretrained for name, step in starts.items())
    passes = {
        name: sum(
            step.passes.epochs for step in steps.values() if isinstance(step, (FineTuning, LayerDrop, Replacement))
        )
        for name, (_, steps) in asked.items()
    }
    assert set(passes.values()) == {20}
    assert {config.method["layers"] for config, _ in asked.values()} == {6}


def test_the_claims_on_depth_compare_methods_that_train_for_as_long() -> None:
    """Each by its own defaults."""
    passes = {}
    for name in ("theseus", "truncate", "layerdrop"):
        method = composed("claims/depth", f"method={name}").method
        passes[name] = sum(method.steps[step].get("epochs", 0) for step in method.order)
    assert set(passes.values()) == {3}


def test_both_phases_of_theseus_leave_embeddings_and_head_alone_and_clip_as_told(built: Built) -> None:
    _, steps = built("xu_glue")
    for name in ("replace", "recover"):
        parts = steps[name].parts
        assert (parts.embeddings, parts.head, parts.clip) == (False, False, "all")


# Training rows of GLUE's smallest and largest tasks, of which a tenth becomes val.
GLUE_ROWS = {
    "rte": 2_490,
    "mrpc": 3_668,
    "stsb": 5_749,
    "cola": 8_551,
    "sst2": 67_349,
    "qnli": 104_743,
    "mnli": 392_702,
}


@pytest.mark.parametrize("task", GLUE_ROWS)
@pytest.mark.parametrize("name", ["xu_glue", "xu_schedules", "xu_modules"])
def test_the_schedule_of_module_replacing_fits_into_the_phase_on_every_task(name: str, task: str, built: Built) -> None:
    phase = built(name)[1]["replace"]
    assert isinstance(phase, Replacement)
    batches = math.ceil(0.9 * GLUE_ROWS[task] / phase.passes.batch_size)
    phase.schedule.check(phase.passes.optimizer_steps(batches))


def test_a_loss_s_settings_beside_another_distillation_are_refused() -> None:
    """The experiment's own are merged onto whatever is chosen instead."""
    with pytest.raises(
        SecateurError, match=r"^distillation\.loss\.temperature=2\.0: has no effect on distillation=none; "
    ):
        checked(composed("cao_squad_v1", "distillation=none"))
    assert checked(composed("cao_layers", "method.lower_layers=0")).distillation.loss is None


def test_the_stand_in_for_natural_questions_is_called_by_its_own_name() -> None:
    """No record, page or dashboard is to say that it is Natural Questions."""
    assert composed("squad_as_nq").dataset.name == "squad_as_nq"


@pytest.mark.parametrize(
    ("row", "lengths", "document"),
    [
        ("squad_v1", (320, 25), None),
        ("boolq", (320, 15), "text_pair"),
        ("race", (512, 30), None),
        ("mnli", (120, 32), "text"),
        ("qqp", (100, 40), "text_pair"),
    ],
)
def test_the_deformer_rows_are_those_of_the_released_code(
    row: str, lengths: tuple[int, int], document: str | None, built: Built
) -> None:
    """9 layers apart, three epochs at 5e-5 for the dense model of the layout and for the decomposed one."""
    config, steps = built(f"cao_{row}")
    phase = steps["decompose"]
    assert isinstance(phase, Decomposition)
    assert phase.needs_pretrained
    assert (phase.amount.lower_layers, phase.passes.epochs, phase.passes.batch_size) == (9, 3, 32)
    assert (phase.optimization.learning_rate, phase.optimization.warmup_ratio) == (5e-5, 0.15)
    assert (config.predecessor.epochs, config.predecessor.learning_rate) == (3, 5e-5)
    assert (config.dataset.max_seq_length, config.dataset.max_question_length) == lengths
    assert config.dataset.task.get("document") == document
    loss = phase.distillation
    assert isinstance(loss, RepresentationDistillation)
    assert (loss.temperature, loss.gamma, loss.alpha, loss.beta) == (2.0, 0.7, 1.1, 0.5)


def test_the_losses_of_deformer_are_left_out_one_by_one() -> None:
    """Their weights are where the released search began, unless a row has others."""
    asked = [
        *(
            ("cao_losses", f"distillation.loss.alpha={alpha}", f"distillation.loss.beta={beta}")
            for alpha in (0, 1.1)
            for beta in (0, 0.5)
        ),
        ("cao_layers", "method.lower_layers=9", "distillation=representation"),
    ]
    losses = [checked(composed(*each)).distillation.loss or {} for each in asked]
    found = [(loss["alpha"], loss["beta"], loss["gamma"]) for loss in losses]
    assert found == [(0, 0, 0.7), (0, 0.5, 0.7), (1.1, 0, 0.7), (1.1, 0.5, 0.7), (0.5, 0.2, 0.3)]


def test_the_theseus_rows_are_those_of_the_released_code(built: Built) -> None:
    config, steps = built("xu_glue")
    assert (config.predecessor.epochs, config.predecessor.learning_rate, config.predecessor.batch_size) == (4, 2e-5, 32)
    phase = steps["replace"]
    assert isinstance(phase, Replacement)
    trained = phase.optimization
    assert (trained.learning_rate, trained.weight_decay, trained.warmup_ratio) == (2e-5, 0.0, 0.0)
    assert phase.passes.batch_size == 32
    assert (phase.schedule.kind, phase.schedule.initial_rate, phase.schedule.steps) == ("linear", 0.3, 1000)
    assert (phase.parts.embeddings, phase.parts.head, phase.parts.clip) == (False, False, "all")
    single = built("xu_modules")[1]["replace"]
    assert isinstance(single, Replacement)
    assert single.mixes == [[], *([number] for number in range(6))]
