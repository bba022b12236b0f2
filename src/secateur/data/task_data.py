"""The data of one run, served in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch.utils.data import DataLoader

from secateur.data.batching import ResumableLoader, eval_loader, train_loader
from secateur.data.examples import Examples
from secateur.structure.decomposition import PACKED


class TaskData:
    """Examples of the splits ``train``, ``val`` and ``test``, and loaders over them.

    Args:
        examples: split name -> examples.
        eval_batch_size: examples per batch in evaluation.
        layout: how the examples are laid out.
        examples_in: makes the examples of another layout; None if there is no other.
    """

    def __init__(
        self,
        examples: Mapping[str, Examples],
        *,
        eval_batch_size: int,
        layout: str = PACKED,
        examples_in: Callable[[str], Mapping[str, Examples]] | None = None,
    ) -> None:
        self.examples = examples
        self.eval_batch_size = eval_batch_size
        self.layout = layout
        self.examples_in = examples_in
        self._others: dict[str, TaskData] = {}

    def laid_out(self, layout: str) -> TaskData:
        """The same data in the given layout, the one that a model reads; made on first use.

        Raises:
            SecateurError: if the data cannot be laid out in this way.
        """
        if layout == self.layout:
            return self
        if layout not in self._others:
            assert self.examples_in is not None
            self._others[layout] = TaskData(
                self.examples_in(layout),
                eval_batch_size=self.eval_batch_size,
                layout=layout,
                examples_in=self.examples_in,
            )
        return self._others[layout]

    def train_loader(
        self, *, batch_size: int, seed: int, draws: int | None = None, processes: int = 1
    ) -> ResumableLoader:
        """This process's share of the training batches, in random order, each of similar lengths.

        Args:
            batch_size: examples per batch.
            seed: seed of the order.
            draws: seed of what is random in the examples themselves; None uses ``seed``.
            processes: number of processes that share an epoch.
        """
        examples = self.examples["train"]
        return train_loader(
            examples,
            collate=examples.collate_in_training,
            lengths=examples.lengths,
            batch_size=batch_size,
            seed=seed,
            draws=seed if draws is None else draws,
            processes=processes,
        )

    def eval_loader(self, split: str) -> DataLoader:
        """Every example of a split once."""
        examples = self.examples[split]
        return eval_loader(
            examples, collate=examples.collate, lengths=examples.lengths, batch_size=self.eval_batch_size
        )
