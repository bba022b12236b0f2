"""How often modules are replaced: a rate in [0, 1] that depends only on the optimizer step."""

from __future__ import annotations

import logging

from secateur.errors import SecateurError

log = logging.getLogger(__name__)

KINDS = ("constant", "linear", "anti")


class Schedule:
    """The replacing rate p over a phase (Xu et al., sections 3.2, 3.3 and 5.3).

    Args:
        kind: "linear" is the paper's curriculum: p = min(1, k t + b), which grows from ``rate`` to 1. "constant" is
            ``rate`` until it becomes 1. "anti" is 1 - p of the curriculum, which ends at 0.
        rate: b, or the constant rate, in [0, 1].
        ratio: share of the phase until p is 1 (with "anti": 0), in (0, 1].
        steps: the same as a number of optimizer steps, at least 1; None uses ``ratio``.
    """

    def __init__(self, *, kind: str, rate: float, ratio: float, steps: int | None = None) -> None:
        if kind not in KINDS:
            raise SecateurError(f"schedule={kind}: must be one of {', '.join(KINDS)}")
        if not 0 <= rate <= 1:
            raise SecateurError(f"rate={rate}: must lie in [0, 1]: it is the probability that a module is replaced")
        if not 0 < ratio <= 1:
            raise SecateurError(
                f"replacing_ratio={ratio}: must lie in (0, 1]: beyond the end of the phase the rate would never be 1"
            )
        if steps is not None and steps < 1:
            raise SecateurError(f"replacing_steps={steps}: must be at least 1, or null to use replacing_ratio")
        if kind == "constant" and rate == 0:
            raise SecateurError("rate=0: with schedule=constant nothing is replaced; give a rate above 0")
        if kind == "anti" and rate == 1:
            raise SecateurError("rate=1: with schedule=anti nothing is replaced; give a rate below 1")
        self.kind = kind
        self.initial_rate = rate
        self.ratio = ratio
        self.steps = steps

    def check(self, total: int) -> None:
        """Reject a phase that ends before the schedule, and warn if it continues when nothing is replaced any more.

        Args:
            total: optimizer steps of the phase.

        Raises:
            SecateurError: if the phase ends before the schedule.
        """
        if self.steps is not None and self.steps > total:
            raise SecateurError(
                f"replacing_steps={self.steps}: the phase has {total} optimizer steps, so the rate never reaches its "
                "end; lower it or raise epochs"
            )
        duration = self._duration(total)
        if self.kind == "anti" and duration < total:
            log.warning(
                "schedule=anti: nothing is replaced after %d of %d optimizer steps, so the rest of the phase trains "
                "nothing; set replacing_ratio=1",
                *(round(duration), total),
            )

    def rate(self, step: int, *, total: int) -> float:
        """The probability that a module is replaced in optimizer step ``step``, counted from 0, of ``total``."""
        duration = self._duration(total)
        if self.kind == "constant":
            return self.initial_rate if step < duration else 1.0
        curriculum = min(1.0, self.initial_rate + (1 - self.initial_rate) * step / duration)
        return curriculum if self.kind == "linear" else 1.0 - curriculum

    def _duration(self, total: int) -> float:
        """Optimizer steps until the rate reaches its final value."""
        return self.steps if self.steps is not None else self.ratio * total
