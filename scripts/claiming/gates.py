"""Claims on gates (McCarley et al., arXiv 1910.06360) and on heads (Michel et al., arXiv 1905.10650)."""

from __future__ import annotations

from typing import Any

from claiming.figures import at_batch, at_most, middle_minus_ends
from claiming.gates_runs import CENTRE, KINDS, PROFILES, V1, Profile, jobs
from claiming.plan import Agreement, Claim, Contrast, Quantity, Runs, Section, Term, plain
from claiming.tables import curve_table, layers_table

MCCARLEY, MICHEL = "McCarley et al.", "Michel et al."
HALF = f"{100 * CENTRE:.0f} %"


def section(profile: str) -> Section:
    """Claims 1 to 6 of McCarley et al. as A1 to A6, and two of Michel et al. as C4 and C5."""
    chosen = PROFILES[profile]
    return Section(
        name="gates",
        title="Claims on gates and heads",
        jobs=tuple(jobs(chosen)),
        claims=(_a1(chosen), _a2(), _a3(), _a4(), _a5(), _a6(), _c4(), _c5()),
        untested=UNTESTED,
        details=(curve_table, layers_table),
    )


def _pruned(method: str, kind: str, fraction: float, *, dataset: str = V1) -> dict[str, Any]:
    return {"dataset.name": dataset, "method.name": method, "sparsity": None, f"method.{kind}": fraction}


def _recovered(sparsity: float, *, distillation: str = "none") -> dict[str, Any]:
    names = {"dataset.name": V1, "method.name": "l0", "distillation.name": distillation}
    return {**names, "sparsity": sparsity}


def _heads(sparsity: float, *, ranking: str = "ascending") -> dict[str, Any]:
    names = {"dataset.name": V1, "method.name": "heads", "method.ranking": ranking}
    return {**names, "sparsity": sparsity}


def _a1(profile: Profile) -> Claim:
    tests = [
        Contrast(
            setting=f"{dataset}, {100 * fraction:.0f} % of the {KINDS[kind]} removed, no recovery",
            more=plain(better, _pruned(better, kind, fraction, dataset=dataset)),
            less=plain(worse, _pruned(worse, kind, fraction, dataset=dataset)),
        )
        for better, worse in (("l0", "gain"), ("gain", "random"))
        for dataset, fractions in profile.fractions.items()
        for kind in KINDS
        for fraction in fractions
    ]
    return Claim(
        id="A1",
        text="At the same share pruned, without retraining, L0 is better than gain, and gain is better than random",
        published="random collapses, gain is better, L0 best: 48 % of the heads or 70 % of the units removed cost 5 F1",
        source=f"{MCCARLEY}, figure 1, SQuAD 2.0, BERT-base",
        tests=tuple(tests),
    )


def _a2() -> Claim:
    more, less = (plain(KINDS[kind], _pruned("l0", kind, CENTRE)) for kind in ("units", "heads"))
    setting = f"{V1}, l0, {HALF} removed, no recovery: remaining F1"
    return Claim(
        id="A2",
        text="FFN units tolerate a larger share pruned than heads",
        published="70 % of the units, 48 % of the heads, at a cost of 5 F1 each",
        source=f"{MCCARLEY}, figure 1, SQuAD 2.0, BERT-base",
        tests=(Contrast(setting=setting, more=more, less=less),),
    )


def _a3() -> Claim:
    def brought(sparsity: float) -> Quantity:
        after, before = Runs(where=_recovered(sparsity)), Runs(where=_recovered(sparsity), stage="surgery")
        return Quantity(f"{100 * sparsity:.0f} % removed", (Term(1.0, after), Term(-1.0, before)))

    tests = [
        Contrast(setting=f"{V1}, l0, heads and units: F1 after minus before", more=brought(more), less=brought(less))
        for more, less in ((0.7, 0.3), (CENTRE, 0.3), (0.7, CENTRE))
    ]
    return Claim(
        id="A3",
        text="Retraining recovers more the more was pruned",
        published="+1.1, +2.3, +5.6, +13.7 F1 at 44/48, 53/65, 58/74, 60/78 % of heads/units",
        source=f"{MCCARLEY}, table 2, SQuAD 2.0, BERT-large",
        tests=tuple(tests),
    )


def _a4() -> Claim:
    sides = (("distilled", "logits"), ("plain", "none"))
    more, less = (plain(name, _recovered(CENTRE, distillation=kind)) for name, kind in sides)
    setting = f"{V1}, l0, sparsity {CENTRE}, same mask"
    return Claim(
        id="A4",
        text="Distilled recovery is at least as good as plain recovery",
        published="+2.9 F1 (55.5 to 58.4 short answers) at 53/55 % of heads/units",
        source=f"{MCCARLEY}, table 4, NQ, RoBERTa-large",
        tests=(Contrast(setting=setting, more=more, less=less, same_mask=True),),
    )


def _a5() -> Claim:
    tests = [
        Agreement(
            setting=f"{V1}, l0, {HALF} of the {name} removed",
            name="share kept in the middle layers minus that in the first and last",
            where=_pruned("l0", kind, CENTRE),
            figure=middle_minus_ends(kind),
        )
        for kind, name in KINDS.items()
    ]
    return Claim(
        id="A5",
        text="Middle layers keep more than both ends",
        published="intermediate layers keep more; those near embeddings and answer head less",
        source=f"{MCCARLEY}, figure 2, SQuAD 2.0",
        tests=tuple(tests),
    )


def _a6() -> Claim:
    test = Agreement(
        setting=f"{V1}, l0, sparsity {CENTRE}, float32, batch 32",
        name="speed-up minus 1",
        where={"dataset.name": V1, "method.name": "l0", "sparsity": CENTRE},
        figure=at_batch(32),
        unit=" ×",
    )
    return Claim(
        id="A6",
        text="Removal saves wall-clock time",
        published="1.95 times as fast at 53/65 % of heads/units",
        source=f"{MCCARLEY}, table 2, BERT-large, K80, batch 1",
        tests=(test,),
    )


def _c4() -> Claim:
    names = ("ascending", "random", "descending")
    first, by_chance, last = (plain(name, _heads(0.4, ranking=name)) for name in names)
    dense, plateau, cliff = (Runs(where=_heads(sparsity)) for sparsity in (0, 0.4, 0.8))
    setting = f"{V1}, 40 % of the heads removed, no training"
    return Claim(
        id="C4",
        text="Removing the least important heads first is far better than a random order, which is far better than the "
        "most important first; a plateau, then a cliff",
        published="40 % of the heads can be removed without noticeable loss; a sharp drop after 60 %",
        source=f"{MICHEL}, section 4, MNLI, BERT-base; second-hand",
        tests=(
            Contrast(setting=setting, more=first, less=by_chance),
            Contrast(setting=setting, more=by_chance, less=last),
            Contrast(
                setting=f"{V1}, ascending: F1 lost by the second 40 % of the heads, and by the first",
                more=Quantity("from 40 to 80 %", (Term(1.0, plateau), Term(-1.0, cliff))),
                less=Quantity("from 0 to 40 %", (Term(1.0, dense), Term(-1.0, plateau))),
            ),
        ),
    )


def _c5() -> Claim:
    where = {"dataset.name": V1, "sparsity": None, "method.heads": CENTRE}
    setting = f"{V1}, {HALF} of the heads removed, float32"
    return Claim(
        id="C5",
        text="Removing half of the heads gains little speed: at most 20 %, and almost nothing at batch 1",
        published="+1.9 % at batch 1, +17.5 % at batches 16 and 64",
        source=f"{MICHEL}, section 4, BERT-base, GTX 1080 Ti; second-hand",
        tests=(
            Agreement(
                setting=f"{setting}, batch 32",
                name="0.2 × minus the gain",
                where=where,
                figure=at_most(0.2, at_batch(32)),
                unit=" ×",
            ),
            Agreement(
                setting=setting,
                name="gain at batch 32 minus gain at batch 1",
                where=where,
                figure=at_batch(32, less=1),
                unit=" ×",
            ),
        ),
    )


UNTESTED = (
    "The other half of A4 (distillation while gates are trained gains nothing): it takes twice the gate phases. Use "
    "`method.steps.gate.distillation='${distillation.loss}'`.",
    "The first half of A6 (masked equals removed): shown exactly for all methods by `tests/contract/test_methods.py`.",
    "Natural Questions (tables 3 to 5 of McCarley et al.): the data was not available.",
    "C4 and C5 on MNLI, as published: MNLI was not available. With it, use `secateur -m experiment=michel_mnli`.",
)
