"""A run on Weights & Biases: one for each job, whose id stays the same when the job is interrupted and goes on."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from secateur.errors import SecateurError
from secateur.loggers.base import RunLog
from secateur.record import ModelFigures, Record

log = logging.getLogger(__name__)

ID_FILE = "wandb_id"
STEP = "optimizer_step"


class Wandb(RunLog):
    """One run of a project.

    Args:
        project, entity: where it goes; None takes the account's default entity.
        group: runs that belong together, the sweep.
        job_type: the method.
        tags: to filter by.
        offline: write to ``<run>/wandb`` alone, for ``wandb sync`` later.
    """

    def __init__(
        self, *, project: str, entity: str | None, group: str, job_type: str, tags: Sequence[str], offline: bool
    ) -> None:
        self.settings: dict[str, Any] = {
            "project": project,
            "entity": entity,
            "group": group,
            "job_type": job_type,
            "tags": list(tags),
        }
        self.offline = offline
        self.run: Any = None

    def check(self) -> None:
        """Online, there has to be a key; nothing is sent to find out whether it is right."""
        import wandb

        disabled = os.environ.get("WANDB_MODE") in {"offline", "disabled", "dryrun"}
        if not self.offline and not disabled and wandb.api.api_key is None:
            raise SecateurError("logger=wandb: there is no key; run wandb login, or set logger.offline=true")

    @property
    def is_awaited(self) -> bool:
        """Whether an agent of wandb's own sweeps started this process, and waits for the run that it gave an id."""
        return "WANDB_SWEEP_ID" in os.environ

    def open(self, folder: Path, *, config: Mapping[str, Any]) -> None:
        """Start the run with its whole config: what is told later has been lost by runs without network.

        Raises:
            SecateurError: if the server does not answer, or refuses the run.
        """
        super().open(folder, config=config)
        import wandb

        try:
            self.run = wandb.init(
                **self.settings,
                name=folder.name,
                id=_kept_id(folder / ID_FILE, given=os.environ.get("WANDB_RUN_ID") if self.is_awaited else None),
                dir=folder,
                config=dict(config),
                mode="offline" if self.offline else None,
                resume="allow",
                reinit="create_new",  # jobs of one process each have a run of their own
            )
        except wandb.errors.Error as error:
            reason = str(error).splitlines()[0]
            raise SecateurError(f"logger=wandb: {reason}; set logger.offline=true to log without the server") from error

    def phase(self, name: str) -> Logger:
        """Curves called ``<phase>/train/loss`` and so on, against ``<phase>/optimizer_step``."""
        # Steps begin anew with each phase, and runs that go on take some again: charts have an axis of their own.
        self.run.define_metric(f"{name}/*", step_metric=f"{name}/{STEP}")
        return _PhaseLogger(experiment=self.run, prefix=name)

    def close(self, record: Record) -> None:
        """The record's figures as the run's summary, its pictures, and how it ended."""
        import wandb

        finished = record.status == "finished"
        if finished:
            self.run.summary.update(dict(figures(record)))
            pictures = sorted((self.folder / "figures").glob("*.png"))
            self.run.log({f"figures/{path.stem}": wandb.Image(str(path)) for path in pictures})
        elif record.status == "running":
            self.run.mark_preempting()  # the dashboard then tells it apart from one that crashed
        self.run.finish(exit_code=0 if finished else 1)
        self.run = None


class _PhaseLogger(WandbLogger):
    """Lightning's, with a phase's metrics in a section of their own, against the phase's own optimizer steps."""

    LOGGER_JOIN_CHAR = "/"

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add the step as a metric of the phase. A client that has died ends the curves, not the run.

        A cluster that takes a job away sends SIGTERM to all its processes, and the client's is the quickest to go.
        """
        try:
            super().log_metrics({**metrics, STEP: step} if step is not None else metrics)
        except OSError as error:
            log.warning("a step was not logged: %s: %s", type(error).__name__, error)


def figures(record: Record) -> Iterator[tuple[str, float]]:
    """What a finished run came to, by name: scores, what is kept, what is gone, costs, speed-ups."""
    for name, model in (("reference", record.reference), ("compressed", record.compressed)):
        if model is not None:
            yield from _of_model(name, model)
    if record.retention is not None:
        yield "retention", record.retention
    for pair in record.latency.pairs if record.latency else []:
        place = f"{pair.runtime}/{pair.dtype}/{pair.batch_size}x{pair.length}"
        yield f"speedup/{place}", pair.speedup
        yield f"latency_p50/{place}", pair.served.p50
    yield from ((f"validation/{score}", value) for score, value in (record.validation or {}).items())
    yield "seconds", record.seconds


def _of_model(name: str, model: ModelFigures) -> Iterator[tuple[str, float]]:
    yield from ((f"{name}/{score}", value) for score, value in model.scores.items())
    structure = model.structure.model_dump() if model.structure else {}
    yield from ((f"{name}/{key}", value) for key, value in structure.items() if isinstance(value, float))
    if model.cost:
        yield f"{name}/parameters", model.cost.parameters
        yield from ((f"{name}/flops/{length}", flops) for length, flops in model.cost.served_flops.items())


def _kept_id(path: Path, *, given: str | None) -> str:
    """The id of this run folder, made on first use; or the one that is given."""
    if given is not None or not path.is_file():
        path.write_text(given or uuid.uuid4().hex[:8], encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
