"""The step that permanently removes heads and FFN units with closed gates."""

from __future__ import annotations

from secateur.errors import check_at_least_one
from secateur.methods.base import Context, State, Step
from secateur.structure.surgery import shrink


class Surgery(Step):
    """Remove every head and FFN unit whose gate is 0.

    Args:
        round_to: FFN widths are rounded up to a multiple of this, by keeping the most important of the closed units.
    """

    needs = ("gates",)

    def __init__(self, *, round_to: int = 1, evaluate: bool = False) -> None:
        super().__init__(evaluate=evaluate)
        check_at_least_one(round_to=round_to)
        self.round_to = round_to

    def run(self, state: State, context: Context) -> State:
        """Shrink the model; gates and importance are used up."""
        assert state.gates is not None
        shrink(state.model, state.gates, round_to=self.round_to, importance=state.importance)
        return State(model=state.model)
