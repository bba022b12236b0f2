"""What a search optimises: a model's score on ``val`` and its costs relative to the reference, never ``test``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from secateur.configuration.instantiation import build
from secateur.errors import SecateurError

if TYPE_CHECKING:
    from secateur.configuration.schema import Config
    from secateur.record import Latency, ModelFigures, Record

COSTS = ("latency", "parameters", "flops", "disk_bytes")
OUT_OF_BOUNDS = -100.0  # below every score


def objective_value(config: Config, record: Record) -> Any:
    """The objective value of a finished run, which the launcher returns; None if no objective is configured."""
    objective = build(config.objective, key="objective")
    return None if objective is None else objective(record)


class BestScore:
    """The score, in the task's own metric; a model that exceeds a bound counts as worse than any that does not.

    Args:
        latency, parameters, flops, disk_bytes: upper bounds, as fractions of the reference's costs, above 0; None:
            unbounded. Latency is the median at the first batch size and length measured; FLOPs are those of the
            longest input.
    """

    def __init__(
        self,
        *,
        latency: float | None = None,
        parameters: float | None = None,
        flops: float | None = None,
        disk_bytes: float | None = None,
    ) -> None:
        bounds = {"latency": latency, "parameters": parameters, "flops": flops, "disk_bytes": disk_bytes}
        self.bounds = {name: bound for name, bound in bounds.items() if bound is not None}
        for name, bound in self.bounds.items():
            if bound <= 0:
                raise SecateurError(f"{name}={bound}: must be above 0; it is a fraction of the reference's")

    def __call__(self, record: Record) -> float:
        """The value to maximise. Beyond a bound it reflects by how much, so that a search is guided back."""
        costs = costs_of(record)
        excess = sum(max(0.0, costs[name] / bound - 1) for name, bound in self.bounds.items())
        return OUT_OF_BOUNDS * (1 + excess) if excess else score_of(record)


class Frontier:
    """The score and costs, for a search that trades them off.

    Args:
        costs: some of ``latency``, ``parameters``, ``flops``, ``disk_bytes``, as fractions of the reference's.
    """

    def __init__(self, *, costs: Sequence[str]) -> None:
        if unknown := [name for name in costs if name not in COSTS]:
            raise SecateurError(f"costs={unknown[0]}: must be one of {', '.join(COSTS)}")
        self.costs = tuple(costs)

    def __call__(self, record: Record) -> tuple[float, ...]:
        """The score, to be maximised, then the costs, to be minimised."""
        costs = costs_of(record)
        return score_of(record), *(costs[name] for name in self.costs)


def score_of(record: Record) -> float:
    """The compressed model's score on ``val``.

    Raises:
        SecateurError: if it was not evaluated.
    """
    if record.validation is None:
        raise SecateurError(f"{record.name}: has no score on val; repeat the run with an objective")
    return record.validation[record.metric]


def costs_of(record: Record) -> Mapping[str, float]:
    """Costs of the compressed model as fractions of the reference's.

    Raises:
        SecateurError: if the run is not finished.
    """
    if record.reference is None or record.compressed is None or record.latency is None:
        raise SecateurError(f"{record.name}: has no figures; finish the run first")
    ours, dense = _sizes(record.compressed), _sizes(record.reference)
    return {"latency": _latency(record.latency), **{name: ours[name] / dense[name] for name in ours}}


def _latency(latency: Latency) -> float:
    return 1 / latency.pairs[0].speedup


def _sizes(figures: ModelFigures) -> dict[str, float]:
    assert figures.cost is not None
    flops = figures.cost.served_flops
    return {"parameters": figures.cost.parameters, "flops": flops[max(flops)], "disk_bytes": figures.cost.disk_bytes}
