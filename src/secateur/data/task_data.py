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
        layout: how the examples are laid out.
        examples_in: makes those of another layout; None where there is no other.
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
        """The same data in a layout, that which a model reads; made when it is first asked for.

        Raises:
            SecateurError: if it cannot be laid out so.
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
        """Training batches in random order, of similar lengths each; this process's share of them.

        Args:
            seed: of the order.
            draws: seed of what is random in the examples themselves; None: the same.
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
