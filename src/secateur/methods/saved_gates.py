"""Gates from another run, on other data or another model of the same shape (McCarley et al., 1910.06360, table 3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from secateur.errors import SecateurError
from secateur.methods.base import Context, State, Step
from secateur.methods.step_folder import last_gates, per_gate_of
from secateur.record import read_record
from secateur.structure.gates import check_sizes


class SavedGates(Step):
    """Close the gates that another run closed; its importance is also taken over, for a surgery that rounds up.

    Args:
        run: that run's folder.
    """

    changes_model = False

    def __init__(self, *, run: str | None, evaluate: bool = False) -> None:
        super().__init__(evaluate=evaluate)
        if run is None:
            raise SecateurError("run=null: no run given; set method.gates=<folder of the run>")
        step = last_gates(Path(run))
        if step is None:
            raise SecateurError(f"run={run}: has no steps/*/gates.safetensors; give the folder of a run that set gates")
        found = per_gate_of(step)
        self.gates, self.importance = found["gates"], found.get("importance")
        self.gives = tuple(found)  # a run that set gates may have ranked nothing
        self.run_folder = run
        self.parents = (read_record(Path(run)).name,)

    def run(self, state: State, context: Context) -> State:
        """Return the saved gates, 0 or 1, and the importance by which they were ranked."""
        return dataclasses.replace(state, gates=self.gates, importance=self.importance)

    def check(self, *, heads: Sequence[int], units: Sequence[int]) -> None:
        """Check that the model has the shape that the gates were made for.

        Raises:
            SecateurError: if not; the message names the first layer that differs.
        """
        try:
            check_sizes(self.gates, heads=heads, units=units)
        except SecateurError as error:
            raise SecateurError(f"method.gates={self.run_folder}: {error}") from error
