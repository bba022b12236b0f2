"""The runs for the claims on DeFormer: the size of each profile, and the multiruns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from claiming.plan import Job, listed

V1, V2 = "squad_v1", "squad_v2"
DOCUMENTS = 100  # documents whose state movement is analysed
UNTRAINED = ("~method.steps.decompose", "~method.init")
# What is imitated in addition to the task's own loss: the teacher's outputs, its layers, or both.
LOSSES = {
    "none": ("distillation=none",),
    "outputs": ("distillation=logits",),
    "layers": ("distillation=representation", "distillation.loss.alpha=0"),
    "both": ("distillation=representation", "distillation.loss.alpha=0.5"),
}


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The size of the experiments.

    Attributes:
        layers: number of layers of the model.
        lower_layers: numbers of decomposed layers, by data set; the first is 0.
        judged: the data sets on which dense models learn enough for others to lose something.
        free, cheap, dear: numbers of decomposed layers that should cost nothing, up to 2 points, and clearly more on
            SQuAD 1.1.
        untrained: numbers of decomposed layers that are also run without training.
        seeds: of each data set, and of the comparison of losses.
        overrides: what differs from the experiments; ``of_dataset`` on one data set.
    """

    layers: int
    lower_layers: Mapping[str, tuple[int, ...]]
    judged: tuple[str, ...]
    free: int
    cheap: int
    dear: int
    untrained: tuple[int, ...]
    seeds: tuple[int, ...]
    overrides: tuple[str, ...] = ()
    of_dataset: Mapping[str, tuple[str, ...]]


ALL_SEEDS = (1, 2, 3, 4, 5)
PROFILES = {
    "cpu": Profile(
        layers=6,
        lower_layers=dict.fromkeys((V1, V2), (0, 1, 2, 3, 4, 5)),
        judged=(V1,),
        free=3,
        cheap=4,
        dear=5,
        untrained=(2, 4),
        seeds=(1,),
        overrides=("dataset.limit_test=1000",),
        of_dataset={
            V1: ("dataset.limit_train=6000",),
            V2: ("dataset.limit_train=3000", "predecessor.epochs=1"),
        },
    ),
    "full": Profile(
        layers=12,
        lower_layers={V1: tuple(range(12)), V2: (0, 6, 9, 11)},
        judged=(V1, V2),
        free=6,
        cheap=9,
        dear=11,
        untrained=(6, 9),
        seeds=ALL_SEEDS,
        overrides=("model=bert_base",),
        of_dataset={},
    ),
}
EPOCHS = {"cpu": 0.3, "full": 2}  # of the decomposed model, after those of its dense counterpart


def jobs(name: str) -> Iterator[Job]:
    """Everything that a profile runs, as multiruns that can be repeated."""
    profile, epochs = PROFILES[name], f"method.steps.decompose.epochs={EPOCHS[name]:g}"
    for dataset, (none, *amounts) in profile.lower_layers.items():
        claims = ("D1", "D2", "D4", "D5") if dataset == V1 else ("D1", "D2", "D5")
        others = tuple(amount for amount in amounts if amount != profile.cheap or dataset != V1)
        yield _job(profile, dataset, (none,), epochs, claims=("D1", "D2", "D5", "D6"), documents=DOCUMENTS)
        yield _job(profile, dataset, others, epochs, claims=claims)
    for loss, imitation in LOSSES.items():
        claims = ("D1", "D2", "D3", "D4", "D5") if loss == "none" else ("D1", "D3", "D5")
        yield _job(profile, V1, (profile.cheap,), epochs, *imitation, claims=claims)
    yield _job(profile, V1, profile.untrained, *UNTRAINED, experiment="deformer_untrained", claims=("D4",))


def _job(
    profile: Profile,
    dataset: str,
    lower_layers: tuple[int, ...],
    *overrides: str,
    claims: tuple[str, ...],
    experiment: str = "deformer",
    documents: int | None = None,
) -> Job:
    asked = (f"method.lower_layers={listed(lower_layers)}", f"seed={listed(profile.seeds)}")
    own = (*profile.overrides, *profile.of_dataset.get(dataset, ()))
    return Job(
        experiment=experiment, dataset=dataset, overrides=(*overrides, *asked, *own), claims=claims, documents=documents
    )
