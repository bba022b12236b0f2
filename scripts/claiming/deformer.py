"""Claims on DeFormer (Cao et al., ACL 2020, arXiv 2005.00697)."""

from __future__ import annotations

from typing import Any

from claiming.deformer_runs import LOSSES, PROFILES, V1, Profile, jobs
from claiming.deformer_tables import layers_apart_table, losses_table
from claiming.figures import above, at_batch, at_most, cached_share_of_promise
from claiming.plan import (
    FINAL,
    REFERENCE,
    Agreement,
    Claim,
    Contrast,
    Quantity,
    Runs,
    Section,
    Term,
    movement,
    plain,
)
from secateur.record import Record

CAO = "Cao et al."
CLOSE = 1e-5  # largest difference between outputs with and without kept documents
POINTS = 2.0  # points that the paper's model loses at most
TRAINED = ["segment", "decompose"]


def section(profile: str) -> Section:
    """Claims 1 to 6 as D1 to D6."""
    chosen = PROFILES[profile]
    return Section(
        name="deformer",
        title="Claims on DeFormer",
        jobs=tuple(jobs(profile)),
        claims=(_d1(), _d2(chosen), _d3(chosen), _d4(chosen), _d5(), _d6(chosen)),
        untested=(
            *UNTESTED,
            *(TOO_SMALL.format(dataset) for dataset in chosen.lower_layers if dataset not in chosen.judged),
        ),
        details=(layers_apart_table, losses_table),
    )


def _apart(dataset: str, lower_layers: int, *, loss: str = "none", order: list[str] | None = None) -> dict[str, Any]:
    """The config values that identify such runs."""
    found = {"dataset.name": dataset, "method.name": "deformer", "method.lower_layers": lower_layers}
    settings = dict(override.split("=") for override in LOSSES[loss])
    found["distillation.name"] = settings.pop("distillation")
    found |= {key: float(value) for key, value in settings.items()}
    return found | {"method.order": order or TRAINED}


def _d1() -> Claim:
    test = Agreement(
        setting="all data sets, losses and numbers of decomposed layers, trained models, float32",
        name="1e-5 minus the largest difference of any output, in millionths",
        where={"method.name": "deformer", "method.order": TRAINED},
        figure=_millionths_left,
    )
    return Claim(
        id="D1",
        text="With the document's states kept, outputs are the same as without",
        published="by construction",
        source=f"{CAO}, section 3",
        tests=(test,),
    )


def _millionths_left(record: Record) -> float | None:
    cost = record.compressed.cost if record.compressed else None
    if cost is None or cost.cache_difference is None:
        return None
    return 1e6 * (CLOSE - cost.cache_difference)


def _d2(profile: Profile) -> Claim:
    of = profile.layers

    def named(dataset: str, amount: int) -> Any:
        return plain(f"{amount} decomposed" if amount else "none decomposed", _apart(dataset, amount))

    tests = [
        Contrast(
            setting=f"{dataset}, {amount} of {of} layers decomposed: no more than {margin:g} lost",
            more=named(dataset, amount),
            less=named(dataset, 0),
            margin=margin,
        )
        for amount, margin in ((profile.free, 1.0), (profile.cheap, POINTS))
        for dataset in profile.judged
        if amount in profile.lower_layers[dataset]
    ]
    tests += [
        Contrast(
            setting=f"{dataset}, {less} of {of} layers decomposed compared with {more}",
            more=named(dataset, less),
            less=named(dataset, more),
        )
        for dataset in profile.judged
        for less, more in ((profile.cheap, profile.dear), (profile.free, profile.dear), (0, profile.dear))
        if {less, more} <= set(profile.lower_layers[dataset])
    ]
    return Claim(
        id="D2",
        text="After fine-tuning, decomposing up to half of the layers costs nothing, three quarters at most 2 points, "
        "nearly all clearly more",
        published="SQuAD 1.1 F1 88.3 to 87.0 with 9 of 12 layers decomposed; flat below, steep in the last layers",
        source=f"{CAO}, released checkpoints of BERT-base without auxiliary losses; a figure, second-hand",
        tests=tuple(tests),
    )


def _d3(profile: Profile) -> Claim:
    pairs = (("both", "outputs"), ("both", "layers"), ("outputs", "none"), ("layers", "none"), ("both", "none"))
    tests = [
        Contrast(
            setting=f"{V1}, {profile.cheap} of {profile.layers} layers decomposed, by what is imitated",
            more=plain(more, _apart(V1, profile.cheap, loss=more)),
            less=plain(less, _apart(V1, profile.cheap, loss=less)),
        )
        for more, less in pairs
    ]
    return Claim(
        id="D3",
        text="Imitating the teacher's outputs and layers is better than imitating one of them, and that is better than "
        "imitating neither",
        published="about 1 F1 for each",
        source=f"{CAO}, second-hand",
        tests=tuple(tests),
    )


def _d4(profile: Profile) -> Claim:
    tests = [
        Contrast(
            setting=f"{V1}, {amount} of {profile.layers} layers decomposed",
            more=plain("trained", _apart(V1, amount)),
            less=plain("only decomposed", _apart(V1, amount, order=["segment", "separate"])),
        )
        for amount in profile.untrained
    ]
    return Claim(
        id="D4",
        text="A model decomposed without training is much worse",
        published="a figure",
        source=CAO,
        tests=tuple(tests),
    )


def _d5() -> Claim:
    where = {"method.name": "deformer", "method.order": TRAINED}
    setting = "all data sets, losses and numbers of decomposed layers, float32, batch 8, 384 tokens"
    tests = (
        Agreement(
            setting=f"{setting}, documents kept",
            name="speed-up as a share of the ratio of FLOPs, minus 0.8",
            where=where,
            figure=above(0.8, cached_share_of_promise(8)),
        ),
        Agreement(
            setting=f"{setting}, documents not kept",
            name="0.1 × minus the change in speed",
            where=where,
            figure=at_most(0.1, _change),
            unit=" ×",
        ),
    )
    return Claim(
        id="D5",
        text="With documents kept, the model is as much faster as FLOPs predict; without, it is not faster",
        published="3.2 times as fast on SQuAD with 9 of 12 layers decomposed, 3.2 by FLOPs; 1.01 without",
        source=f"{CAO}, table 1, second-hand; FLOPs by the formula on the method's page",
        tests=tests,
    )


def _d6(profile: Profile) -> Claim:
    def after(layer: int, where: dict[str, Any], stage: str) -> Quantity:
        runs = Runs(where=where, stage=stage, score=movement(layer))
        return Quantity(f"after layer {layer}" if layer else "embeddings", (Term(1.0, runs),))

    steps = [(layer, layer + 1) for layer in range(profile.layers)]
    tests = [
        Contrast(
            setting=f"{dataset}, {name}, none decomposed, in hundredths of the cosine distance to the centroid",
            more=after(later, _apart(dataset, 0), stage),
            less=after(earlier, _apart(dataset, 0), stage),
        )
        for dataset in profile.judged
        for name, stage, pairs in (("separate slots", FINAL, steps), ("packed", REFERENCE, [(0, profile.layers)]))
        for earlier, later in pairs
    ]
    return Claim(
        id="D6",
        text="From layer to layer, a document's states move more and more with the question",
        published="a figure: little in the lower layers",
        source=CAO,
        tests=tuple(tests),
    )


def _change(record: Record) -> float | None:
    gain = at_batch(8)(record)
    return None if gain is None else abs(gain)


TOO_SMALL = (
    "The loss on {} and the movement of its states (D2, D6): at this size its dense models never answer. Its runs are "
    "in the tables and count for D1 and D5."
)
UNTESTED = (
    "BoolQ and RACE: with the available data dense MiniLM does not clearly beat the majority class, so there is "
    "nothing to lose. Unit tests show that they can be decomposed.",
    "MNLI and QQP: their training data was not available.",
)
