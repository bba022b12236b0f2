"""Masked language modelling, with or without next-sentence prediction (BERT: Devlin et al., arXiv 1810.04805).

This is what models are pretrained on; here, models are trained, compressed and scored on it as on any other task, and
the body can then be used under another head.

Shapes: B inputs in a batch, L tokens, M masked tokens in the batch, D features, V ids of the vocabulary.
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
    """Predict masked tokens, and whether the second of two texts follows the first.

    Args:
        mask_probability: share of the tokens that are selected for prediction, in (0, 1).
        masking: ``token`` selects single tokens, ``whole_word`` all tokens of the selected words.
        mask_share, random_share: shares of the selected tokens that are replaced by the mask token and by random
            tokens, in [0, 1]; the rest stay unchanged.
        next_sentence: show two texts, half the time from the same document, and predict whether they are; needs an
            architecture with a head for it, that is BERT.
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
        """Reject next-sentence prediction for architectures other than BERT."""
        if self.next_sentence and config.model_type not in MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING_NAMES:
            raise SecateurError(
                f"dataset.task.next_sentence=true: model_type={config.model_type} has no head for it; "
                "set dataset.task.next_sentence=false"
            )
        super().check_architecture(config)

    def check_distillation(self, *, key: str) -> None:
        """Reject stored teacher outputs: the masked tokens change from epoch to epoch."""
        raise SecateurError(
            f"{key}: masked language modelling masks different tokens in every epoch, so a teacher's outputs cannot be "
            "stored; set distillation=patient, whose teacher runs in every step, or none"
        )

    def check_head(self, model: PreTrainedModel, examples: Examples, *, key: str) -> None:
        """Reject a model without the required heads, pointing out if the other setting would accept it."""
        self.check_architecture(model.config)
        name = type(model).__name__
        if name.endswith("ForMaskedLM" if self.next_sentence else "ForPreTraining"):
            asked = str(self.next_sentence).lower()
            raise SecateurError(
                f"{key}: a {name} does not fit dataset.task.next_sentence={asked}; set it to "
                f"{str(not self.next_sentence).lower()}, or give an {self.auto_class}"
            )
        super().check_head(model, examples, key=key)

    def load_rows(self, source: Source) -> DatasetDict:
        """One row for each document; see :mod:`secateur.data.documents`."""
        return load_documents(source)

    def texts(self, rows: Dataset) -> Iterable[str]:
        """All paragraphs, read lazily."""
        return all_paragraphs(rows)

    def tokenize(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Dataset:
        """Documents by segment, in memory; see :mod:`secateur.data.segments`."""
        return tokenize_documents(rows, tokenizer)

    def write_tokens(self, rows: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths, folder: Path) -> None:
        """The same on disk, a batch of documents at a time."""
        write_documents(rows, tokenizer, folder)

    def examples(self, tokens: Dataset, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> Examples:
        """Pieces of documents that fill ``max_seq_length``, in pairs if next sentences are predicted."""
        inputs = MaskedPairs if self.next_sentence else MaskedTexts
        return inputs(Segments(tokens), tokenizer, lengths, self.masking)

    def forward(self, model: PreTrainedModel, batch: Batch) -> ModelOutput:
        """Logits (M, V) at the masked tokens, in the order of the batch, and the loss.

        An input's loss is the mean cross-entropy over its own masked tokens, plus that of next-sentence prediction,
        whose logits are next_sentence_logits (B, 2). The batch's loss is the mean over inputs, so that an input's
        weight does not depend on the others in its batch.
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
        """The predictions for each masked token and each pair; the teacher must see the same tokens masked."""
        logits = [outputs[name] for name in ("logits", "next_sentence_logits") if name in outputs]
        return [Distilled(logits=each, mask=None) for each in logits]

    def evaluator(self, examples: Examples) -> Evaluator:
        """Scores over all masked tokens, and over all pairs."""
        assert isinstance(examples, MaskedTexts)
        return MaskedEvaluator(examples)


class MaskedEvaluator(Evaluator):
    """Sums losses and counts correct predictions for each item."""

    def __init__(self, examples: MaskedTexts) -> None:
        self.examples = examples
        self.loss, self.hidden, self.right, self.told = torch.zeros(4, len(examples), dtype=torch.float64)

    def update(self, outputs: ModelOutput, batch: Batch) -> None:
        """Add the outputs of one batch."""
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
        """``mlm_accuracy`` in percent, ``mlm_loss`` in nats per token and ``perplexity``, its exponential.

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
        """For each item: its document, the numbers of masked and correctly predicted tokens, and the sum of losses."""
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
    """Within the context, the head receives only the hidden states (M, D) of the tokens in ``hidden_BL``.

    The head costs as much as several layers, since its logits are as wide as the vocabulary, and only about one token
    in seven needs them. In every architecture the head treats each token independently.
    """

    def gather(_module: nn.Module, _inputs: Any, output: ModelOutput) -> ModelOutput:
        output["last_hidden_state"] = output["last_hidden_state"][hidden_BL]
        return output

    with body.register_forward_hook(gather):
        yield
