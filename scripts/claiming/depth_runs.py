"""The runs for the claims on depth: the size of each profile, and the multiruns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from claiming.plan import Job, listed

SMALL = ("rte", "mrpc", "cola")
DATASETS = (*SMALL, "sst2", "squad_v1")
HALF, THIRD = 0.5, 0.66  # share of the layers removed: 6 to 3, 6 to 2
RATES = (0.1, 0.5, 0.7)  # rates of a constant schedule
# Probabilities that a layer drops out: with and without LayerDrop, a low and a high one.
WITH, WITHOUT = 0.2, 0.0
LOW_RATE, HIGH_RATE = 0.1, 0.5
REMOVALS = ("every_other", "last", "first")

# Clipping counts only the trained weights: cheaper than all weights, which are the default and the released code's way.
THESEUS = ("method=theseus", "method.clip=trained")
NO_RECOVERY = ("method.order=[remove]", "~method.steps.recover")
DROP_ONLY = ("method.order=[drop,remove]", "~method.steps.recover")
# A dense model of each seed, where nothing else is trained with the seed, or all of it is on other data.
OWN_PREDECESSOR = "predecessor.seed=${seed}"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The size of the experiments.

    Attributes:
        layers: number of layers of the dense model.
        seeds: of each data set.
        pretrained: data sets on which baselines are also cut from the pretrained model, as in the paper.
        overrides: what differs from the experiment; ``of_dataset`` on one data set, ``of_dropping`` there while layers
            drop out.
    """

    layers: int
    seeds: Mapping[str, tuple[int, ...]]
    pretrained: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    of_dataset: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of_dropping: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def starts(self, dataset: str) -> tuple[str, ...]:
        """What the baselines are cut from."""
        return ("predecessor", "pretrained") if dataset in self.pretrained else ("predecessor",)

    @property
    def half(self) -> int:
        """Number of layers left when half are kept."""
        return self.layers // 2

    @property
    def third(self) -> int:
        """Number of layers left when a third are kept."""
        return self.layers // 3

    @property
    def most(self) -> int:
        """Number of layers left when a sixth are removed."""
        return self.layers - self.layers // 6

    @property
    def mixes(self) -> str:
        """No module replaced, and each single one."""
        return f"[[],{','.join(f'[{module}]' for module in range(self.half))}]"


# CoLA is ranked by Matthews' correlation, which single rows do not have, so accuracy is computed as well.
ACCURACY_TOO = ("dataset.task.metrics=[mcc,accuracy]",)
ALL_SEEDS = (1, 2, 3, 4, 5)
TRANSFER_SEEDS = (1, 2, 3)  # for rows that no claim needs
PROFILES = {
    "cpu": Profile(
        layers=6,
        seeds=dict.fromkeys(SMALL, ALL_SEEDS) | {"sst2": (1, 2, 3), "squad_v1": (1,)},
        pretrained=("mrpc",),
        of_dataset={
            "cola": ACCURACY_TOO,
            "sst2": ("dataset.limit_train=10000",),
            "squad_v1": ("dataset.limit_train=6000", "dataset.limit_test=2000", "predecessor.epochs=2"),
        },
        of_dropping={"squad_v1": ("method.steps.drop.epochs=1",)},
    ),
    "full": Profile(
        layers=12,
        seeds=dict.fromkeys(DATASETS, ALL_SEEDS),
        pretrained=DATASETS,
        overrides=("model=bert_base",),
        of_dataset={"cola": ACCURACY_TOO},
    ),
}


def jobs(profile: Profile) -> Iterator[Job]:
    """Everything that a profile runs, as multiruns that can be repeated."""
    yield from _ways(profile)
    yield from _schedules(profile)
    yield from _modules(profile)
    yield from _blocks(profile)
    yield from _dropped(profile)
    yield from _transferred(profile)


def _ways(profile: Profile) -> Iterator[Job]:
    """Theseus and its baselines on every task, on the small ones also with a third of the layers."""
    for dataset in DATASETS:
        claims = ("E1", *(("E2",) if dataset in SMALL else ()), "E6")
        yield _job(profile, dataset, *THESEUS, claims=claims)
        for init in profile.starts(dataset):
            baselines = ("method=truncate", f"method.init={init}", "distillation=none,logits,patient")
            yield _job(profile, dataset, *baselines, claims=("E1",))
        yield _job(profile, dataset, "method=layerdrop", claims=())  # only a row of the table
        if dataset in SMALL:
            for method in (THESEUS, ("method=truncate",)):
                yield _job(profile, dataset, *method, f"sparsity={THIRD}", claims=("E1",))


def _schedules(profile: Profile) -> Iterator[Job]:
    for dataset in SMALL:
        constant = (*THESEUS, "method.schedule=constant", f"method.rate={listed(RATES)}")
        yield _job(profile, dataset, *constant, claims=("E2", "E3"))
        yield _job(profile, dataset, *THESEUS, "method.schedule=anti", claims=("E2",))


def _modules(profile: Profile) -> Iterator[Job]:
    """Single modules replaced, at a constant rate and without recovery, as in the paper's table 5."""
    constant = ("method.schedule=constant", "method.rate=0.5", "method.replacing_ratio=1.0")
    order = ("method.order=[replace]", "~method.steps.recover", f"method.mixes={profile.mixes}")
    for dataset in SMALL:
        yield _job(profile, dataset, *THESEUS, *constant, *order, claims=("E4",))


def _blocks(profile: Profile) -> Iterator[Job]:
    """Choices of the removed layers, without any training, in a dense model of each seed."""
    for dataset in DATASETS:
        own = (f"method.remove={','.join(REMOVALS)}", OWN_PREDECESSOR)
        yield _job(profile, dataset, "method=truncate", *NO_RECOVERY, *own, claims=("C1",))


def _dropped(profile: Profile) -> Iterator[Job]:
    """With and without LayerDrop, layers removed and nothing trained afterwards."""
    asked = {
        "C2": ((WITH, WITHOUT), (profile.half,)),
        "C3": ((LOW_RATE, HIGH_RATE), (profile.most, profile.third)),
    }
    for dataset in DATASETS:
        dropping = ("method=layerdrop", *DROP_ONLY, *profile.of_dropping.get(dataset, ()))
        for claim, (rates, left) in asked.items():
            own = (f"method.p={listed(rates)}", "sparsity=null", f"method.layers={listed(left)}")
            yield _job(profile, dataset, *dropping, *own, claims=(claim,))


def _transferred(profile: Profile) -> Iterator[Job]:
    """A model that Theseus compressed on one task, fine-tuned on others; rows of a table alone."""
    parent = _job(profile, "sst2", *THESEUS, claims=(), seeds=(1,))
    for dataset in ("rte", "mrpc"):
        tuned = ("method=finetune", "sparsity=null", OWN_PREDECESSOR)
        yield replace(_job(profile, dataset, *tuned, claims=(), seeds=TRANSFER_SEEDS), parent=parent)


def _job(
    profile: Profile, dataset: str, *overrides: str, claims: tuple[str, ...], seeds: tuple[int, ...] | None = None
) -> Job:
    own_seeds = f"seed={listed(seeds or profile.seeds[dataset])}"
    own = (*profile.overrides, *profile.of_dataset.get(dataset, ()))
    return Job(experiment="depth", dataset=dataset, overrides=(*overrides, own_seeds, *own), claims=claims)
