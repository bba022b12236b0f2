"""A sweep of small jobs in a real queue: its command, its jobs as SLURM sees them, and waiting for events."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from secateur.record import Record, read_record
from tests.small_runs import run, small

# 80 training rows in batches of 16: 20 steps, a checkpoint after each.
TRAINED = ("method=control", "method.steps.recover.epochs=4", "model.epochs=1")
OFFLINE = ("logger=wandb", "logger.offline=true")
TOGETHER = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true")
EVERY_STEP = "callbacks.checkpoint.every_n_train_steps=1"
# When a job that is queued again begins, instead of in two minutes; in the second in which it was ended, its node takes
# its new credential for the revoked one.
SOON = "StartTime=now+3"
# Seconds: a machine under load takes long to import PyTorch.
PATIENCE = float(os.environ.get("SECATEUR_TEST_PATIENCE", "420"))


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Jobs that differ in their seed."""

    output: Path
    environment: dict[str, str]
    seeds: tuple[int, ...]
    overrides: tuple[str, ...] = ()
    brake: float = 1.0

    def start(self) -> subprocess.Popen[str]:
        """The command, in a session of its own, so that a signal to it reaches nobody else."""
        chosen = small(*TRAINED, *OFFLINE, EVERY_STEP, *self.overrides)
        if "trainer=ddp" in chosen:
            chosen.remove("trainer=cpu")
        brake = f"+callbacks.brake={{_target_: tests.slurm.brake.Brake, seconds: {self.brake}}}"
        where = (
            f"paths.output={self.output}",
            "sweep=s",
            "hydra/launcher=slurm",
            f"seed={','.join(map(str, self.seeds))}",
        )
        return subprocess.Popen(
            [sys.executable, "-m", "secateur", "-m", *chosen, brake, *where],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def folder(self, seed: int) -> Path:
        """The run folder of a job, once it is there."""
        (found,) = (self.output / "sweeps" / "s").glob(f"control-*-seed{seed}-*")
        return found

    def job_id(self, seed: int) -> str:
        """Under which a job was submitted."""
        return (self.folder(seed) / ".slurm_job").read_text().strip()

    def is_training(self, seed: int) -> bool:
        """Whether the job is in its phase, and has left a checkpoint there."""
        return any((self.output / "sweeps" / "s").glob(f"control-*-seed{seed}-*/steps/00-recover.partial/last.ckpt"))

    def record(self, seed: int) -> Record:
        return read_record(self.folder(seed))

    def whole(self, seed: int) -> tuple[Record, Path]:
        """The same job left alone, in this process."""
        return run(*TRAINED, f"seed={seed}", output=self.output.with_name("whole"))

    def slurm(self, *command: str) -> str:
        """What a command of SLURM says."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout

    def state(self, seed: int) -> str:
        """As the queue has it; empty once the job is over."""
        done = subprocess.run(
            ["squeue", "--noheader", "--format=%T", f"--jobs={self.job_id(seed)}"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    def start_at_once(self, seed: int) -> None:
        """A job that is queued again is held back for two minutes: spare us those."""
        wait_until(lambda: self.state(seed) == "PENDING")
        self.slurm("scontrol", "update", f"JobId={self.job_id(seed)}", SOON)


def wait_until(happened: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
    """Raises:
    TimeoutError: if it does not happen.
    """
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"{happened} did not happen within {seconds} s")
        time.sleep(0.2)


def ended(command: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and output of a command, once it is over."""
    told, _ = command.communicate(timeout=PATIENCE)
    return command.returncode, told


def restarted_logs(folder: Path) -> list[str]:
    """The ids that a run was logged under, one for each process that logged."""
    return [path.name.rpartition("-")[2] for path in sorted(folder.glob("wandb/offline-run-*"))]
