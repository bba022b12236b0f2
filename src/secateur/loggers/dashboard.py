"""A run on Weights & Biases: one for each job, whose id stays the same when the job is interrupted and resumed."""

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
        project, entity: where the run is logged; an entity of None is the account's default.
        group: the sweep, which groups its runs.
        job_type: the method.
        tags: tags to filter by.
        offline: write only to ``<run>/wandb``, for ``wandb sync`` later.
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
        """Refuse to log online without an API key; nothing is sent to verify the key.

        Raises:
            SecateurError: if there is no key.
        """
        import wandb

        disabled = os.environ.get("WANDB_MODE") in {"offline", "disabled", "dryrun"}
        if not self.offline and not disabled and wandb.api.api_key is None:
            raise SecateurError("logger=wandb: there is no API key; run wandb login, or set logger.offline=true")

    @property
    def is_awaited(self) -> bool:
        """Whether an agent of wandb's own sweeps started this process and waits for the run to which it gave an id."""
        return "WANDB_SWEEP_ID" in os.environ

    def open(self, folder: Path, *, config: Mapping[str, Any]) -> None:
        """Start the run with its complete config: config sent later can be lost by runs without a network.

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
                reinit="create_new",  # several jobs in one process each have their own run
            )
        except wandb.errors.Error as error:
            reason = str(error).splitlines()[0]
            raise SecateurError(f"logger=wandb: {reason}; set logger.offline=true to log without the server") from error

    def phase(self, name: str) -> Logger:
        """Curves called ``<phase>/train/loss`` and so on, against ``<phase>/optimizer_step``."""
        # Steps restart with each phase, and resumed runs repeat some, so each phase's charts have their own axis.
        self.run.define_metric(f"{name}/*", step_metric=f"{name}/{STEP}")
        return _PhaseLogger(experiment=self.run, prefix=name)

    def close(self, record: Record) -> None:
        """Log the record's figures as the run's summary, its pictures, and its exit status."""
        import wandb

        finished = record.status == "finished"
        if finished:
            self.run.summary.update(dict(figures(record)))
            pictures = sorted((self.folder / "figures").glob("*.png"))
            self.run.log({f"figures/{path.stem}": wandb.Image(str(path)) for path in pictures})
        elif record.status == "running":
            self.run.mark_preempting()  # so that the dashboard distinguishes it from a crashed run
        self.run.finish(exit_code=0 if finished else 1)
        self.run = None


class _PhaseLogger(WandbLogger):
    """Lightning's logger, with each phase's metrics in a separate section, against the phase's own optimizer steps."""

    LOGGER_JOIN_CHAR = "/"

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics, with the step as a metric of the phase. If the client has died, the run continues.

        A cluster that preempts a job sends SIGTERM to all its processes, and the client's is the first to exit.
        """
        try:
            super().log_metrics({**metrics, STEP: step} if step is not None else metrics)
        except OSError as error:
            log.warning("a step was not logged: %s: %s", type(error).__name__, error)


def figures(record: Record) -> Iterator[tuple[str, float]]:
    """The figures of a finished run, by name: scores, retention, fractions removed, costs and speed-ups."""
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
    """The wandb id of this run folder, created on first use, or the given one."""
    if given is not None or not path.is_file():
        path.write_text(given or uuid.uuid4().hex[:8], encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
