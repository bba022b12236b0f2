"""The runs for the claims on gates: the size of each profile, and the multiruns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from claiming.plan import Job, listed

V1, V2 = "squad_v1", "squad_v2"
KINDS = {"heads": "heads", "units": "FFN units"}
CENTRE = 0.5  # the fraction with the most seeds
FRACTIONS = (0.3, CENTRE, 0.7)
ORDER = {"l0": "gate", "gain": "score", "random": "score"}  # each method's first step


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The size of the experiments.

    Attributes:
        seeds: of each data set, at ``CENTRE``; ``seeds_elsewhere`` at the other fractions.
        fractions: of heads or units to remove, by data set.
        overrides: what differs from the experiments; ``gain`` for scoring by gradients, ``gate`` for training gates,
            ``recovery`` for training weights.
    """

    seeds: Mapping[str, tuple[int, ...]]
    seeds_elsewhere: tuple[int, ...]
    fractions: Mapping[str, tuple[float, ...]]
    overrides: tuple[str, ...] = ()
    gain: tuple[str, ...] = ()
    gate: tuple[str, ...] = ()
    recovery: tuple[str, ...] = ()


ALL_SEEDS = (1, 2, 3, 4, 5)
EVERY_EXAMPLE = ("method.steps.score.examples=null",)
PROFILES = {
    "cpu": Profile(
        seeds={V1: (1, 2, 3), V2: (1,)},
        seeds_elsewhere=(1,),
        fractions={V1: FRACTIONS, V2: (CENTRE,)},
        gain=("method.steps.score.examples=500",),
        gate=("method.steps.gate.batch_size=8",),
    ),
    "full": Profile(
        seeds={V1: ALL_SEEDS, V2: ALL_SEEDS},
        seeds_elsewhere=ALL_SEEDS,
        fractions={V1: FRACTIONS, V2: FRACTIONS},
        overrides=("model=bert_base", "dataset.limit_train=null", "dataset.limit_test=null"),
        gain=EVERY_EXAMPLE,
        recovery=("method.steps.recover.epochs=1",),
    ),
}


def jobs(profile: Profile) -> Iterator[Job]:
    """Everything that a profile runs, as multiruns that can be repeated."""
    yield from _pruning(profile)
    yield from _recovery(profile)
    yield from _curve(profile)


def _pruning(profile: Profile) -> Iterator[Job]:
    """Only heads, or only units, without recovery."""
    for dataset, fractions in profile.fractions.items():
        for kind in KINDS:
            for method, first in ORDER.items():
                order = (f"method={method}", f"method.order=[{first},threshold,surgery]", "~method.steps.recover")
                extra = {"gain": profile.gain, "l0": profile.gate}.get(method, ())
                for asked, seeds in _asked(profile, dataset, fractions):
                    yield Job(
                        experiment=f"gates_{kind}",
                        dataset=dataset,
                        overrides=(
                            *order,
                            f"method.{kind}={listed(asked)}",
                            f"seed={listed(seeds)}",
                            *extra,
                            *profile.overrides,
                        ),
                        claims=_pruning_claims(kind, method, dataset, central=CENTRE in asked),
                    )


def _pruning_claims(kind: str, method: str, dataset: str, *, central: bool) -> tuple[str, ...]:
    if not central or dataset != V1:
        return ("A1",)
    return ("A1", *(("A2", "A5") if method == "l0" else ()), *(("C5",) if kind == "heads" else ()))


def _recovery(profile: Profile) -> Iterator[Job]:
    """Heads and units together with L0; distilled with the same seeds, and so with the same mask."""
    for asked, seeds in _asked(profile, V1, FRACTIONS):
        for distillation in ("none", "logits") if CENTRE in asked else ("none",):
            yield Job(
                experiment="gates_recovery",
                dataset=V1,
                overrides=(
                    f"sparsity={listed(asked)}",
                    f"seed={listed(seeds)}",
                    f"distillation={distillation}",
                    *profile.gate,
                    *profile.recovery,
                    *profile.overrides,
                ),
                claims=(("A3",) if distillation == "none" else ()) + (("A4", "A6") if CENTRE in asked else ()),
            )


def _curve(profile: Profile) -> Iterator[Job]:
    """The curve of each order of heads, and the models at its ends, for their points of each question."""
    seeds = f"seed={listed(profile.seeds_elsewhere)}"
    extra = EVERY_EXAMPLE if profile.gain == EVERY_EXAMPLE else ()
    no_best_head, no_curve = "~method.steps.best_head", "~method.steps.curve"
    order, rankings = "method.order=[score,rank,curve,threshold,surgery]", "ascending,random,descending"
    jobs = (
        (order, no_best_head, "sparsity=0.4", f"method.ranking={rankings}"),
        ("method.order=[score,rank,threshold,surgery]", no_best_head, no_curve, "sparsity=0,0.8"),
    )
    for overrides in jobs:
        every = (*overrides, seeds, *extra, *profile.overrides)
        yield Job(experiment="head_curve", dataset=V1, overrides=every, claims=("C4",))


def _asked(
    profile: Profile, dataset: str, fractions: tuple[float, ...]
) -> Iterator[tuple[tuple[float, ...], tuple[int, ...]]]:
    """Which fractions go with which seeds."""
    yield (CENTRE,), profile.seeds[dataset]
    others = tuple(fraction for fraction in fractions if fraction != CENTRE)
    if others:
        yield others, profile.seeds_elsewhere
