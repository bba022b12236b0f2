"""Claims on depth: BERT-of-Theseus (Xu et al., arXiv 2002.02925) and LayerDrop (Fan et al., arXiv 1909.11556)."""

from __future__ import annotations

from typing import Any

from claiming.depth_runs import (
    DATASETS,
    HALF,
    HIGH_RATE,
    LOW_RATE,
    PROFILES,
    RATES,
    SMALL,
    THIRD,
    WITH,
    WITHOUT,
    Profile,
    jobs,
)
from claiming.figures import above, at_batch, first_module_costs
from claiming.plan import Agreement, Claim, Contrast, Quantity, Runs, Section, Term, plain
from claiming.tables import modules_table, tasks_table, transfer_table

XU, FAN = "Xu et al.", "Fan et al."
CUT_FROM = {"predecessor": "predecessor", "pretrained": "pretrained model"}


def section(profile: str) -> Section:
    """Claims 1 to 4 and 6 of Xu et al. as E1 to E4 and E6, and three of Fan et al. as C1 to C3."""
    chosen = PROFILES[profile]
    return Section(
        name="depth",
        title="Claims on depth",
        jobs=tuple(jobs(chosen)),
        claims=(_e1(chosen), _e2(), _e3(), _e4(), _e6(chosen), _c1(chosen), _c2(chosen), _c3(chosen)),
        untested=UNTESTED,
        details=(tasks_table, modules_table, transfer_table),
    )


def _compressed(dataset: str, method: str, *, sparsity: float = HALF, **settings: Any) -> dict[str, Any]:
    """The config values that identify such runs; settings are named after their keys, with ``__`` for a dot."""
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return {"dataset.name": dataset, "method.name": method, "sparsity": sparsity} | named


def _truncated(
    dataset: str, distillation: str = "none", *, init: str = "predecessor", sparsity: float = HALF
) -> dict[str, Any]:
    settings = {"distillation__name": distillation, "method__init": init, "method__order": ["remove", "recover"]}
    return _compressed(dataset, "truncate", sparsity=sparsity, **settings)


def _theseus(dataset: str, schedule: str = "linear", rate: float = 0.3, *, sparsity: float = HALF) -> dict[str, Any]:
    settings = {"method__schedule": schedule, "method__rate": rate, "method__order": ["replace", "recover"]}
    return _compressed(dataset, "theseus", sparsity=sparsity, **settings)


def _removed(dataset: str, remove: str) -> dict[str, Any]:
    return _compressed(dataset, "truncate", method__remove=remove, method__order=["remove"])


def _dropped(dataset: str, p: float, layers: int) -> dict[str, Any]:
    return {"dataset.name": dataset, "method.name": "layerdrop", "method.p": p, "method.layers": layers}


def _e1(profile: Profile) -> Claim:
    baselines = {"fine-tuned": "none", "distilled": "logits", "patiently distilled": "patient"}
    tests = [
        Contrast(
            setting=f"{dataset}, {profile.layers} layers to {profile.half}, baseline cut from the {CUT_FROM[init]}",
            more=plain("theseus", _theseus(dataset)),
            less=plain(name, _truncated(dataset, kind, init=init)),
        )
        for dataset in DATASETS
        for init in profile.starts(dataset)
        for name, kind in baselines.items()
    ]
    tests += [
        Contrast(
            setting=f"{dataset}, {profile.layers} layers to {profile.third}, baseline cut from the predecessor",
            more=plain("theseus", _theseus(dataset, sparsity=THIRD)),
            less=plain("fine-tuned", _truncated(dataset, sparsity=THIRD)),
        )
        for dataset in SMALL
    ]
    return Claim(
        id="E1",
        text="Theseus is better than the first layers fine-tuned, distilled, or patiently distilled",
        published="6 layers, macro average 81.2 against 77.2, 78.5, 79.2; RTE 68.2 against 62.1, 64.9, 66.5",
        source=f"{XU}, table 2, GLUE, BERT-base; the baselines' layers from the pretrained model",
        tests=tuple(tests),
    )


def _e2() -> Claim:
    tests = []
    for dataset in SMALL:
        curriculum, constant = _theseus(dataset), _theseus(dataset, "constant", 0.5)
        anti = _theseus(dataset, "anti")
        tests.append(
            Contrast(setting=dataset, more=plain("curriculum", curriculum), less=plain("constant 0.5", constant))
        )
        tests.append(
            Contrast(setting=dataset, more=plain("constant 0.5", constant), less=plain("anti-curriculum", anti))
        )
    return Claim(
        id="E2",
        text="The curriculum is better than a constant rate, which is better than the anti-curriculum",
        published="on average over tasks +1.75 and -1.96 points relative to constant",
        source=f"{XU}, table 6, GLUE, BERT-base",
        tests=tuple(tests),
    )


def _e3() -> Claim:
    low, *others = RATES
    tests = [
        Contrast(
            setting=f"{dataset}, constant rate",
            more=plain(f"{rate:g}", _theseus(dataset, "constant", rate)),
            less=plain(f"{low:g}", _theseus(dataset, "constant", low)),
        )
        for dataset in SMALL
        for rate in others
    ]
    return Claim(
        id="E3",
        text="A constant rate of 0.1 is clearly worse than 0.5 or 0.7",
        published="0.5 to 0.7 good everywhere, 0.1 clearly bad (a figure)",
        source=f"{XU}, section 5.2",
        tests=tuple(tests),
    )


def _e4() -> Claim:
    test = Agreement(
        setting="each of the small tasks, constant rate, single modules replaced",
        name="points lost with the first module minus the most lost with another",
        where={"method.name": "theseus", "method.order": ["replace"]},
        figure=first_module_costs,
    )
    return Claim(
        id="E4",
        text="Replacing only the first module hurts more than replacing only another",
        published="QNLI -3.4 for the first, -1.3 for the last; MNLI -2.7 and -0.5; QQP -0.9 and -0.4",
        source=f"{XU}, table 5, BERT-base",
        tests=(test,),
    )


def _e6(profile: Profile) -> Claim:
    test = Agreement(
        setting=f"all data sets, {profile.layers} layers to {profile.half}, float32, batch 32",
        name="speed-up minus 1.5",
        where={"method.name": "theseus", "sparsity": HALF, "method.order": ["replace", "recover"]},
        figure=above(0.5, at_batch(32)),
        unit=" ×",
    )
    return Claim(
        id="E6",
        text="Half the layers are nearly twice as fast (memory in training: `scripts/bench_theseus`)",
        published="1.94 times as fast",
        source=f"{XU}, section 4.2, BERT-base",
        tests=(test,),
    )


def _c1(profile: Profile) -> Claim:
    tests = [
        Contrast(
            setting=f"{dataset}, {profile.half} of {profile.layers} layers removed, no training",
            more=plain(more.replace("_", " "), _removed(dataset, more)),
            less=plain(less.replace("_", " "), _removed(dataset, less)),
        )
        for dataset in DATASETS
        for more, less in (("every_other", "last"), ("last", "first"))
    ]
    return Claim(
        id="C1",
        text="Removing every other layer is better than removing the last half, which is better than the first half",
        published="consecutive chunks are harmful; input and output layers matter most",
        source=f"{FAN}, section 4.5",
        tests=tuple(tests),
    )


def _c2(profile: Profile) -> Claim:
    tests = [
        Contrast(
            setting=f"{dataset}, {profile.half} of {profile.layers} layers removed, nothing trained afterwards",
            more=plain(f"with LayerDrop, p = {WITH:g}", _dropped(dataset, WITH, profile.half)),
            less=plain("without", _dropped(dataset, WITHOUT, profile.half)),
        )
        for dataset in DATASETS
    ]
    return Claim(
        id="C2",
        text="A model trained with LayerDrop scores far more once layers are removed",
        published="a model trained without it breaks down",
        source=f"{FAN}, figure 1 and section 4.4; pretrained with LayerDrop",
        tests=tuple(tests),
    )


def _c3(profile: Profile) -> Claim:
    def advantage(dataset: str, layers: int) -> Quantity:
        high, low = (Runs(where=_dropped(dataset, p, layers)) for p in (HIGH_RATE, LOW_RATE))
        return Quantity(f"{layers} layers left", (Term(1.0, high), Term(-1.0, low)))

    tests = [
        Contrast(
            setting=f"{dataset}, p = {HIGH_RATE:g} minus p = {LOW_RATE:g}, nothing trained afterwards",
            more=advantage(dataset, profile.third),
            less=advantage(dataset, profile.most),
        )
        for dataset in DATASETS
    ]
    return Claim(
        id="C3",
        text="A larger p helps only if many layers are removed",
        published="p = 0.2 in general, 0.5 for very small models",
        source=f"{FAN}, sections 3.2 and 4.1",
        tests=tuple(tests),
    )


UNTESTED = (
    "E5, a model compressed on MNLI and fine-tuned on other tasks: MNLI was not available. The table above uses SST-2 "
    "instead, which shows that it works, not how well. With MNLI, use `secateur -m experiment=xu_transfer`.",
    "LayerDrop in pretraining, as published: use `secateur method=layerdrop dataset=custom_text`.",
    "Tasks of GLUE whose training data was not available: MNLI, QNLI, QQP, STS-B.",
)
