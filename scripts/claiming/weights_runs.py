"""The runs for the claims on weights: the size of each profile, and the multiruns of both stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from claiming.plan import Job, listed

TEXT = "wikipedia"
TASKS = ("squad_v1", "rte")  # fine-tuned after text
DIRECT = ("squad_v1", "sst2")  # pruned while they are fine-tuned
LOW, HIGH = 0.4, 0.8
SPARSITIES = (LOW, 0.6, HIGH, 0.9)
GAMMAS = (0.01, 0.04, 0.16)  # each doubles the boundary below which weights are zeroed
# Zeros appear in the first part of the steps and the rest is recovery; one-shot methods recover in all steps.
PRUNING, RECOVERY = 0.7, 0.3
PLAIN_L1 = "method.steps.prune.reweight=false"
RANDOM = "method.ranking=random"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The size of the experiments.

    Attributes:
        epochs: for which every method trains after the dense model, by data set.
        seeds: of fine-tuning in stage 2, by data set.
        random: the sparsities at which random weights are zeroed, by data set.
        every: optimizer steps between two reweightings, or two masks.
        overrides: what differs from the experiments; ``of_dataset`` on one data set, by experiment.
    """

    epochs: Mapping[str, float]
    seeds: Mapping[str, tuple[int, ...]]
    random: Mapping[str, tuple[float, ...]]
    every: int
    overrides: tuple[str, ...] = ()
    of_dataset: Mapping[tuple[str, str], tuple[str, ...]]


ALL_SEEDS = (1, 2, 3, 4, 5)
SQUAD_AS_GATES = ("dataset.limit_train=6000", "dataset.limit_test=1000")
PROFILES = {
    "cpu": Profile(
        epochs={TEXT: 0.2, "squad_v1": 0.2, "sst2": 1.0},
        seeds={"squad_v1": (1,), "rte": (1,)},
        random={"squad_v1": (LOW,), "sst2": SPARSITIES},
        every=5,  # phases of 50 to 80 steps
        of_dataset={
            ("tasks", "squad_v1"): (*SQUAD_AS_GATES, "predecessor.epochs=1"),
            ("tasks", "rte"): ("predecessor.epochs=1",),
            # The dense model has the settings of the claims on gates, so it is the same model.
            ("direct", "squad_v1"): (*SQUAD_AS_GATES, "model.batch_size=16", "predecessor.batch_size=24"),
            ("direct", "sst2"): ("dataset.limit_train=3000",),
        },
    ),
    "full": Profile(
        epochs={TEXT: 0.5, "squad_v1": 1.0, "sst2": 1.0},
        seeds={"squad_v1": ALL_SEEDS, "rte": ALL_SEEDS},
        random=dict.fromkeys(DIRECT, SPARSITIES),
        every=20,
        overrides=("model=bert_base",),
        of_dataset={
            ("text", TEXT): (
                *("dataset.limit_train=20000", "dataset.limit_test=1000", "dataset.max_seq_length=128"),
                *("model.learning_rate=5e-5", "predecessor.epochs=1"),
            ),
        },
    ),
}


def jobs(profile: Profile) -> Iterator[Job]:
    """Everything that a profile runs, as multiruns that can be repeated."""
    yield _job(profile, "text", TEXT, "method=finetune", claims=("B2", "B4"))
    for compressed, claims in _on_text(profile):
        yield compressed
        for dataset in TASKS if claims else ():
            yield _fine_tuned(profile, dataset, parent=compressed, claims=claims)
    for dataset in DIRECT:
        yield from _directly(profile, dataset)


def _on_text(profile: Profile) -> Iterator[tuple[Job, tuple[str, ...]]]:
    """Stage 1: each multirun, and the claims that need it fine-tuned."""
    amounts, at_once = f"sparsity={LOW:g},{HIGH:g}", _recovery(profile, TEXT)
    rpp, nip = _rpp(profile, TEXT), _nip(profile, TEXT)
    yield _job(profile, "text", TEXT, "method=control", *at_once, claims=("B2", "C6")), ("B2", "C6")
    yield _job(profile, "text", TEXT, *rpp, amounts, claims=("B1", "B2", "B3", "B4", "B5")), ("B2",)
    yield _job(profile, "text", TEXT, *nip, amounts, claims=("B2", "B4")), ("B2",)
    yield _job(profile, "text", TEXT, "method=magnitude", *at_once, amounts, claims=("C6",)), ("C6",)
    yield _job(profile, "text", TEXT, *rpp, f"sparsity={HIGH:g}", PLAIN_L1, claims=("B1", "B5")), ()


def _fine_tuned(profile: Profile, dataset: str, *, parent: Job, claims: tuple[str, ...]) -> Job:
    """Stage 2, whose training follows the predecessor's seed."""
    seeds = (f"seed={listed(profile.seeds[dataset])}", "predecessor.seed=${seed}")
    return _job(profile, "tasks", dataset, *seeds, claims=claims, parent=parent)


def _directly(profile: Profile, dataset: str) -> Iterator[Job]:
    amounts, rpp = f"sparsity={listed(SPARSITIES)}", _rpp(profile, dataset)
    magnitude = ("method=magnitude", *_recovery(profile, dataset))
    yield _job(profile, "direct", dataset, *rpp, amounts, claims=("B1", "B2", "B3", "B5", "B6"))
    yield _job(profile, "direct", dataset, *_nip(profile, dataset), amounts, claims=("B2", "B6"))
    yield _job(profile, "direct", dataset, *magnitude, amounts, claims=("B6", "C6"))
    at_random = f"sparsity={listed(profile.random[dataset])}"
    yield _job(profile, "direct", dataset, *magnitude, at_random, RANDOM, claims=("C6",))
    if dataset == "sst2":
        yield _job(profile, "direct", dataset, *rpp, amounts, PLAIN_L1, claims=("B1", "B5"))
        given = ("sparsity=null", f"method.gamma={listed(GAMMAS)}")
        yield _job(profile, "direct", dataset, *rpp, *given, claims=("B3",))


def _rpp(profile: Profile, dataset: str) -> tuple[str, ...]:
    return ("method=rpp", *_phases(profile, dataset), f"method.steps.prune.reweight_every={profile.every}")


def _nip(profile: Profile, dataset: str) -> tuple[str, ...]:
    return ("method=nip", *_phases(profile, dataset), f"method.steps.prune.update_every={profile.every}")


def _phases(profile: Profile, dataset: str) -> tuple[str, ...]:
    shares = {"prune": PRUNING, "recover": RECOVERY}
    return tuple(f"method.steps.{step}.epochs={share * profile.epochs[dataset]:g}" for step, share in shares.items())


def _recovery(profile: Profile, dataset: str) -> tuple[str, ...]:
    return (f"method.steps.recover.epochs={profile.epochs[dataset]:g}",)


def _job(
    profile: Profile, experiment: str, dataset: str, *overrides: str, claims: tuple[str, ...], parent: Job | None = None
) -> Job:
    seed = () if any(each.startswith("seed=") for each in overrides) else ("seed=1",)
    own = (*profile.overrides, *profile.of_dataset.get((experiment, dataset), ()))
    return Job(
        experiment=f"weights_{experiment}",
        dataset=dataset,
        overrides=(*overrides, *seed, *own),
        claims=claims,
        parent=parent,
    )
