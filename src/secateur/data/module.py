"""The data of one run, served in batches."""

from __future__ import annotations

from collections.abc import Mapping

from torch.utils.data import DataLoader

from secateur.data.batching import ResumableLoader, eval_loader, train_loader
from secateur.data.examples import Examples


class TaskData:
    """Examples of the splits ``train``, ``val`` and ``test``, and loaders over them."""

    def __init__(self, examples: Mapping[str, Examples], *, eval_batch_size: int) -> None:
        self.examples = examples
        self.eval_batch_size = eval_batch_size

    def train_loader(self, *, batch_size: int, seed: int, processes: int = 1) -> ResumableLoader:
        """Training batches in random order, of similar lengths each; this process's share of them."""
        examples = self.examples["train"]
        return train_loader(
            examples,
            collate=examples.collate_in_training,
            lengths=examples.lengths,
            batch_size=batch_size,
            seed=seed,
            processes=processes,
        )

    def eval_loader(self, split: str) -> DataLoader:
        """Every example of a split once."""
        examples = self.examples[split]
        return eval_loader(
            examples, collate=examples.collate, lengths=examples.lengths, batch_size=self.eval_batch_size
        )
