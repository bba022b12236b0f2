"""What the commands share: the location of the config, terminal output, and exit codes."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.tree import Tree

from secateur.distributed import is_leader

log = logging.getLogger(__name__)
_STOPPED = "stopped; repeat the command to continue from the last checkpoint"
PACKAGE = Path(__file__).parents[1]


def config_path() -> str:
    """The folder of the YAML files: inside an installed package, or at the root of a checkout."""
    packaged = PACKAGE / "conf"
    return str(packaged if packaged.is_dir() else PACKAGE.parents[1] / "conf")


def print_tree(config: Mapping[str, Any], *, title: str) -> None:
    """Print the composed config as a tree."""
    tree = Tree(f"[bold]{title}", guide_style="dim")
    _grow(tree, config)
    Console().print(tree)


@contextmanager
def stopping_is_no_success() -> Iterator[None]:
    """Within the context, a process that receives SIGTERM exits with that signal's exit code.

    Lightning would exit with code 0, and the caller would take the run for finished.
    """
    try:
        yield
    except KeyboardInterrupt:
        log.warning(_STOPPED)
        raise
    except SystemExit as stop:
        if stop.code:
            raise
        log.warning(_STOPPED)
        raise SystemExit(128 + signal.SIGTERM) from stop


def quiet_libraries() -> None:
    """Silence messages of dependencies about choices that are Secateur's, not the user's."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Batches are cut from memory-mapped tokens in well under a millisecond; workers would cost more.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # Every process of a distributed fit evaluates all of val, so there is nothing to synchronise.
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
    if not is_leader():
        logging.getLogger("secateur").setLevel(logging.WARNING)
    # Whether jobs go through SLURM is up to the launcher.
    warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
    # Our loader can be resumed mid-epoch, which Lightning cannot know.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    # When gates are trained on a frozen model, its dropout is off on purpose.
    warnings.filterwarnings("ignore", message=".*module.s. in eval mode at the start of training.*")
    # A rank correlation needs all values at once; a test set has few.
    warnings.filterwarnings("ignore", message=".*SpearmanCorrcoef. will save all targets.*")


def _grow(tree: Tree, node: Mapping[str, Any]) -> None:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            _grow(tree.add(f"[cyan]{key}"), value)
        else:
            tree.add(f"[cyan]{key}[/]: {value}", highlight=True)
