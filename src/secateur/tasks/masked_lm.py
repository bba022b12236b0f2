"""Masked language modelling, with next-sentence prediction or without (BERT: Devlin et al., arXiv 1810.04805).

What a model is pretrained on; here it is trained on, compressed and scored like on any other task, and its body then
goes under another head.

Shapes: B inputs of a batch, L tokens, M tokens to be guessed in all of them, D features, V ids of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from datasets import Dataset, DatasetDict
from torch import Tensor, nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING_NAMES
from transformers.utils import ModelOutput

from secateur.data.documents import GROUP_KEYS, all_paragraphs, load_documents
from secateur.data.examples import Batch, Examples, Lengths
from secateur.data.masked_inputs import MaskedPairs, MaskedTexts
from secateur.data.masking import IGNORED, Masking
from secateur.data.segments import Segments, tokenize_documents, write_documents
from secateur.data.sources import Source
from secateur.errors import SecateurError
from secateur.tasks.base import Distilled, Evaluator, Task


class MaskedLM(Task):
    """Guess hidden tokens, and whether the second of two texts follows the first.

    Args:
        mask_probability: share of the tokens to be guessed, in (0, 1).
        masking: ``token``, or ``whole_word``: all tokens of the words that are drawn.
        mask_share, random_share: of the tokens to be guessed, so many are replaced by the mask, and so many by
            random ones; the rest stay as they are. In [0, 1].
        next_sentence: show two texts, half the time of one document, and ask which; needs an architecture that has
            a head for it, BERT.
    """

    metric = "mlm_accuracy"
    group_keys = GROUP_KEYS
    answers_by_token: ClassVar[bool] = True
    keeps_head: ClassVar[bool] = True

    def __init__(
        self,
        *,
        mask_probability: float = 0.15,
        masking: str = "token",
        mask_share: float = 0.8,
        random_share: float = 0.1,
        next_sentence: bool = True,
    ) -> None:
        self.masking = Masking(
            probability=mask_probability, unit=masking, mask_share=mask_share, random_share=random_share
        )
        self.next_sentence = next_sentence
        self.auto_class = "AutoModelForPreTraining" if next_sentence else "AutoModelForMaskedLM"

    def check_architecture(self, config: PretrainedConfig) -> None:
        """Next sentences are predicted by BERT alone."""
        if self.next_sentence and config.model_type not in MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING_NAMES:
            raise SecateurError(
                f"dataset.task.next_sentence=true: model_type={config.model_type} has no head for it; "
                "set dataset.task.next_sentence=false"
            )
        super().check_architecture(config)

    def check_distillation(self, *, key: str) -> None:
        """There is no teacher's output to store: what is hidden changes from epoch to epoch."""
        raise SecateurError(
            f"{key}: masked language modelling hides other tokens in every epoch, so that no teacher's outputs can be "
            "stored; set distillation=patient, whose teacher runs in every step, or none"
        )

    def check_head(self, model: PreTrainedModel, examples: Examples, *, key: str) -> None:
        """Refuse a model without the heads that are asked for, saying where the other setting would take it."""
        self.check_architecture(model.config)
        name = type(model).__name__
        if name.endswith("ForMaskedLM" if self.next_sentence else "ForPreTraining"):
            asked = str(self.next_sentence).lower()
            raise SecateurError(
                f"{key}: a {name} does not answer dataset.task.next_sentence={asked}; set it to "
                f"{str(not self.next_sentence).lower()}, or give an {self.auto_class}"
            )
        super().check_head(model, examples, key=key)

    def load_rows(self, source: Source) -> DatasetDict:
        """One row for each document; see :mod:`secateur.data.documents`."""
        return load_documents(source)

    def texts(self, rows: Dataset) -> Iterable[str]:
        """All paragraphs, read one by one."""
        return all_paragraphs(rows)

    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Documents by segment, in memory; see :mod:`secateur.data.segments`."""
        return tokenize_documents(rows, tokenizer)

    def write_tokens(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths, folder: Path) -> None:
        """The same on disk, a batch of documents at a time."""
        write_documents(rows, tokenizer, folder)

    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """Pieces of documents that fill ``max_seq_length``, in pairs where next sentences are predicted."""
        inputs = MaskedPairs if self.next_sentence else MaskedTexts
        return inputs(Segments(tokens), tokenizer, lengths, self.masking)

    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Logits (M, V) at the tokens to be guessed, in the order of the batch, and the loss.

        An input's loss is the mean cross-entropy over its own tokens, plus that of the next sentence, whose logits
        are next_sentence_logits (B, 2); the batch's is the mean over inputs, so that it weighs none by its company.
        """
        names = ("input_ids", "attention_mask", "token_type_ids")
        hidden_BL = batch["labels"] != IGNORED
        with _only_at(model.base_model, hidden_BL):
            given = model(**{name: batch[name] for name in names if name in batch})
        outputs = ModelOutput(logits=given["prediction_logits" if self.next_sentence else "logits"])
        loss_M = functional.cross_entropy(outputs["logits"].float(), batch["labels"][hidden_BL], reduction="none")
        loss_B = loss_M.new_zeros(len(hidden_BL)).index_add(0, hidden_BL.nonzero()[:, 0], loss_M) / hidden_BL.sum(1)
        if self.next_sentence:
            outputs["next_sentence_logits"] = given["seq_relationship_logits"].float()
            loss_B = loss_B + functional.cross_entropy(
                outputs["next_sentence_logits"], batch["next_sentence_label"], reduction="none"
            )
        outputs["loss"] = loss_B.mean()
        return outputs

    def distilled(self, outputs: ModelOutput, batch: Batch) -> list[Distilled]:
        """What is guessed of each hidden token, and of each pair; the teacher has to see the same tokens hidden."""
        logits = [outputs[name] for name in ("logits", "next_sentence_logits") if name in outputs]
        return [Distilled(logits=each, mask=None) for each in logits]

    def evaluator(self, examples: Examples) -> Evaluator:
        """Scores over all tokens to be guessed, and over all pairs."""
        assert isinstance(examples, MaskedTexts)
        return MaskedEvaluator(examples)


class MaskedEvaluator(Evaluator):
    """Counts what was guessed of each item."""

    def __init__(self, examples: MaskedTexts) -> None:
        self.examples = examples
        self.loss, self.hidden, self.right, self.told = torch.zeros(4, len(examples), dtype=torch.float64)

    def update(self, outputs: ModelOutput, batch: Batch) -> None:
        """Take the outputs of one batch."""
        items, hidden_BL = batch["items"].cpu(), batch["labels"] != IGNORED
        item_M = items[hidden_BL.nonzero()[:, 0].cpu()]
        logits_MV, label_M = outputs["logits"].float(), batch["labels"][hidden_BL]
        loss_M = functional.cross_entropy(logits_MV, label_M, reduction="none")
        self._add(self.loss, item_M, loss_M)
        self._add(self.hidden, item_M, torch.ones_like(loss_M))
        self._add(self.right, item_M, logits_MV.argmax(-1) == label_M)
        if "next_sentence_logits" in outputs:
            self.told[items] = (
                outputs["next_sentence_logits"].argmax(-1).eq(batch["next_sentence_label"]).cpu().double()
            )

    def scores(self) -> dict[str, float]:
        """``mlm_accuracy`` in percent, ``mlm_loss`` in nats a token and ``perplexity``, its exponential.

        With next-sentence prediction also ``nsp_accuracy`` in percent.
        """
        loss = self.loss.sum() / self.hidden.sum()
        scores = {
            "mlm_accuracy": 100 * self.right.sum() / self.hidden.sum(),
            "mlm_loss": loss,
            "perplexity": loss.exp(),
        }
        if self.examples.is_pair:
            scores["nsp_accuracy"] = 100 * self.told.mean()
        return {name: value.item() for name, value in scores.items()}

    def predictions(self) -> list[dict[str, Any]]:
        """Of each item its document, how many tokens were hidden, how many guessed, and the sum of their losses."""
        columns = {"loss": self.loss.tolist(), "hidden": self.hidden.int().tolist(), "right": self.right.int().tolist()}
        if self.examples.is_pair:
            columns["next_sentence_right"] = self.told.bool().tolist()
        rows = zip(*columns.values(), strict=True)
        return [
            {"document": self.examples.document(item), **dict(zip(columns, row, strict=True))}
            for item, row in enumerate(rows)
        ]

    @staticmethod
    def _add(total: Tensor, item_M: Tensor, value_M: Tensor) -> None:
        total.index_add_(0, item_M, value_M.cpu().double())


@contextmanager
def _only_at(body: nn.Module, hidden_BL: Tensor) -> Iterator[None]:
    """Within the context, the head is given the hidden states (M, D) of these tokens alone.

    It costs as much as several layers, its logits are as wide as the vocabulary, and of every token but one in seven
    nobody asks them. Every architecture's head takes each token by itself.
    """

    def gather(_module: nn.Module, _inputs: Any, output: ModelOutput) -> ModelOutput:
        output["last_hidden_state"] = output["last_hidden_state"][hidden_BL]
        return output

    with body.register_forward_hook(gather):
        yield
