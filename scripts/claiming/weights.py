"""Claims on weights: RPP (Guo et al., arXiv 1909.12486) and magnitude pruning (Gordon et al., arXiv 2002.08307)."""

from __future__ import annotations

from typing import Any

from claiming.figures import at_batch, at_most, step_detail
from claiming.plan import Agreement, Claim, Contrast, Quantity, Runs, Section, Term, plain
from claiming.weight_tables import direct_table, proximal_table, stages_table
from claiming.weights_runs import DIRECT, GAMMAS, HIGH, LOW, PROFILES, SPARSITIES, TASKS, TEXT, Profile, jobs
from secateur.record import Record

GUO, GORDON = "Guo et al.", "Gordon et al."
SECOND_HAND = "second-hand"
FREE = 1.0  # points that count as no loss
LOSS = {"score": "mlm_loss"}


def section(profile: str) -> Section:
    """Claims 1 to 6 on RPP as B1 to B6, and one on magnitude pruning as C6."""
    chosen = PROFILES[profile]
    return Section(
        name="weights",
        title="Claims on weights",
        jobs=tuple(jobs(chosen)),
        claims=(_b1(), _b2(), _b3(), _b4(), _b5(), _b6(), _c6(chosen)),
        untested=UNTESTED,
        details=(stages_table, direct_table, proximal_table),
    )


def _pruned(dataset: str, method: str, sparsity: float | None, **settings: Any) -> dict[str, Any]:
    """The config values that identify such runs; settings are named after their keys, with ``__`` for a dot."""
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return {"dataset.name": dataset, "method.name": method, "sparsity": sparsity} | named


def _rpp(dataset: str, sparsity: float | None, *, reweight: bool = True) -> dict[str, Any]:
    return _pruned(dataset, "rpp", sparsity, method__steps__prune__reweight=reweight)


def _magnitude(dataset: str, sparsity: float, *, ranking: str = "magnitude") -> dict[str, Any]:
    return _pruned(dataset, "magnitude", sparsity, method__ranking=ranking)


def _control(dataset: str) -> dict[str, Any]:
    return {"dataset.name": dataset, "method.name": "control"}


def _fine_tuned(dataset: str, of: dict[str, Any]) -> dict[str, Any]:
    """A task's runs that started from the model of ``of``, a run on text."""
    parents = {f"parent.{key}": value for key, value in of.items()}
    return {"dataset.name": dataset, "method.name": "finetune"} | parents


def _in_the_end(dataset: str, of: dict[str, Any]) -> dict[str, Any]:
    """Runs on text themselves, or a task's runs that started from them."""
    return of if dataset == TEXT else _fine_tuned(dataset, of)


def _b1() -> Claim:
    test = Agreement(
        setting="all data sets, all sparsities",
        name="share of exact zeros before the final trimming",
        where={"method.name": "rpp"},
        figure=step_detail("zeroed_by_steps"),
    )
    return Claim(
        id="B1",
        text="Proximal steps leave exact zeros; AdamW with the penalty in the loss leaves none "
        "(`tests/methods/rpp/test_proximal.py`)",
        published="the method's reason",
        source=f"{GUO}, {SECOND_HAND}",
        tests=(test,),
    )


def _b2() -> Claim:
    tests = [
        Contrast(
            setting=f"text, sparsity {sparsity}: MLM loss in hundredths of a nat",
            more=plain("nip", _pruned(TEXT, "nip", sparsity), **LOSS),
            less=plain("rpp", _rpp(TEXT, sparsity), **LOSS),
        )
        for sparsity in (LOW, HIGH)
    ]
    tests += [
        Contrast(
            setting=f"{dataset}, fine-tuned after text with the mask fixed, sparsity {sparsity}",
            more=plain("rpp", _fine_tuned(dataset, _rpp(TEXT, sparsity))),
            less=plain("nip", _fine_tuned(dataset, _pruned(TEXT, "nip", sparsity))),
        )
        for dataset in TASKS
        for sparsity in (LOW, HIGH)
    ]
    tests += [
        Contrast(
            setting=f"{dataset}, {'fine-tuned after text' if dataset != TEXT else 'predicted tokens'}, sparsity {LOW}",
            more=plain("rpp", _in_the_end(dataset, _rpp(TEXT, LOW))),
            less=plain("dense, trained further", _in_the_end(dataset, _control(TEXT))),
            margin=FREE,
        )
        for dataset in (TEXT, *TASKS)
    ]
    tests += [
        Contrast(
            setting=f"{dataset}, pruned in fine-tuning, sparsity {sparsity}",
            more=plain("rpp", _rpp(dataset, sparsity)),
            less=plain("nip", _pruned(dataset, "nip", sparsity)),
        )
        for dataset in DIRECT
        for sparsity in SPARSITIES
    ]
    return Claim(
        id="B2",
        text="At high sparsity RPP is better than NIP, in the pretraining loss and after fine-tuning with a fixed "
        "mask; at low sparsity it costs nothing",
        published="no loss at 59.3 % (BERT-large); SQuAD 1.1 F1 -0.0 at 41.2 %, -3.8 at 80 % (BERT-base)",
        source=f"{GUO}, {SECOND_HAND}",
        tests=tuple(tests),
    )


def _b3() -> Claim:
    def near_target(record: Record) -> float | None:
        reached = step_detail("zeroed_by_steps")(record)
        return None if reached is None or record.sparsity is None else abs(reached - record.sparsity)

    def near_prediction(record: Record) -> float | None:
        reached, predicted = (step_detail(name)(record) for name in ("zeroed_by_steps", "predicted"))
        return None if reached is None or predicted is None else abs(reached - predicted)

    given = Agreement(
        setting=f"sst2, γ of {', '.join(f'{gamma:g}' for gamma in GAMMAS)}",
        name="0.05 minus the difference between the sparsity reached and the one predicted",
        where={"dataset.name": "sst2", "method.name": "rpp", "sparsity": None},
        figure=at_most(0.05, near_prediction),
    )
    sought = Agreement(
        setting="all data sets, γ chosen for a target and corrected during the phase",
        name="0.005 minus the difference between the sparsity reached by steps and the target",
        where={"method.name": "rpp", "method.steps.prune.reweight": True},
        figure=at_most(0.005, near_target),
    )
    return Claim(
        id="B3",
        text="Sparsity follows from γ and the learning rates: weights below √(2 γ Σλ) are zeroed",
        published="γ is searched for",
        source=f"{GUO}; the law is derived, and simulated, here",
        tests=(given, sought),
    )


def _b4() -> Claim:
    def lost(of: dict[str, Any], score: str | None, name: str) -> Quantity:
        dense = {"dataset.name": TEXT, "method.name": "finetune"}
        terms = (Term(1.0, Runs(where=dense, score=score)), Term(-1.0, Runs(where=of, score=score)))
        return Quantity(name, terms)

    tests = [
        Contrast(
            setting=f"text, {name}, sparsity {HIGH}: points of accuracy lost",
            more=lost(of, None, "hidden tokens"),
            less=lost(of, "nsp_accuracy", "next sentences"),
        )
        for name, of in {"rpp": _rpp(TEXT, HIGH), "nip": _pruned(TEXT, "nip", HIGH)}.items()
    ]
    return Claim(
        id="B4",
        text="The easy task, next sentences, survives longer than masked tokens",
        published="next sentences at 90 % pruned: RPP above 95 %, NIP about 90 %",
        source=f"{GUO}, {SECOND_HAND}",
        tests=tuple(tests),
    )


def _b5() -> Claim:
    tests = [
        Contrast(
            setting=f"text, sparsity {HIGH}: MLM loss in hundredths of a nat",
            more=plain("plain ℓ1", _rpp(TEXT, HIGH, reweight=False), **LOSS),
            less=plain("reweighted", _rpp(TEXT, HIGH), **LOSS),
        )
    ]
    tests += [
        Contrast(
            setting=f"sst2, pruned in fine-tuning, sparsity {sparsity}",
            more=plain("reweighted", _rpp("sst2", sparsity)),
            less=plain("plain ℓ1", _rpp("sst2", sparsity, reweight=False)),
        )
        for sparsity in SPARSITIES
    ]
    return Claim(
        id="B5",
        text="Reweighting is better than plain ℓ1 at the same sparsity: remaining weights are shrunk less (see below)",
        published="the method's reason",
        source=f"{GUO}, {SECOND_HAND}",
        tests=tuple(tests),
    )


def _b6() -> Claim:
    def gain_size(record: Record) -> float | None:
        gain = at_batch(8)(record)
        return None if gain is None else abs(gain)

    tests = [
        Agreement(
            setting=f"{dataset}, all methods, sparsity {HIGH}, float32, batch 8",
            name="0.1 × minus the change in speed",
            where={"dataset.name": dataset, "sparsity": HIGH},
            figure=at_most(0.1, gain_size),
            unit=" ×",
        )
        for dataset in DIRECT
    ]
    return Claim(
        id="B6",
        text="Zeros alone gain no speed in dense kernels",
        published="none is claimed",
        source="Ganesh et al., a survey of compression, TACL 2021",
        tests=tuple(tests),
    )


def _c6(profile: Profile) -> Claim:
    free = [
        Contrast(
            setting=f"{dataset}, fine-tuned after text, sparsity {LOW}",
            more=plain("magnitude", _fine_tuned(dataset, _magnitude(TEXT, LOW))),
            less=plain("dense, trained further", _fine_tuned(dataset, _control(TEXT))),
            margin=FREE,
        )
        for dataset in TASKS
    ]
    dear = [
        Contrast(
            setting=f"{dataset}, fine-tuned after text, sparsity {HIGH}",
            more=plain("dense, trained further", _fine_tuned(dataset, _control(TEXT))),
            less=plain("magnitude", _fine_tuned(dataset, _magnitude(TEXT, HIGH))),
        )
        for dataset in TASKS
    ]
    by_chance = [
        Contrast(
            setting=f"{dataset}, pruned in fine-tuning, sparsity {sparsity}",
            more=plain("magnitude", _magnitude(dataset, sparsity)),
            less=plain("random", _magnitude(dataset, sparsity, ranking="random")),
        )
        for dataset in DIRECT
        for sparsity in profile.random[dataset]
    ]
    return Claim(
        id="C6",
        text="Magnitude pruning of 30 to 40 % is free, 70 % and more hurts transfer; random masks are much worse",
        published="30 to 40 % change neither pretraining's loss nor transfer; higher levels do",
        source=f"{GORDON}, abstract",
        tests=(*free, *dear, *by_chance),
    )


UNTESTED = (
    "The other half of B1 (ℓ1 in the loss leaves no zeros): shown exactly by `tests/methods/rpp/test_proximal.py`.",
    "Pretrained heads for hidden tokens and next sentences: MiniLM has none, so stage 0 trains them, for far fewer "
    "steps than pretraining.",
    "The pattern of zeros: use `secateur-analyze RUN`.",
)
