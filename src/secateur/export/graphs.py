"""The graphs of an export: one for an ordinary model, two for one that reads question and document separately.

Shapes: B examples of a batch, C choices of each (only multiple choice), L tokens, Q of them the question's, D the
document's; N sequences, B or B · C; E features.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from secateur.cost.inputs import is_multiple_choice, random_inputs, with_padding
from secateur.cost.runtimes import ANSWERING_FILE, ENCODER_FILE, MODEL_FILE
from secateur.structure.anatomy import max_positions_of
from secateur.structure.decomposition import SEGMENTED, answer, encode, layout_of

_CHOICES = 3


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One file of an export.

    Attributes:
        file: the file's name.
        module: what it computes; its outputs are a mapping.
        axes: for each possible input, the names of its axes, all of variable size.
        inputs: makes random inputs, given the numbers of examples and tokens; every sequence but the first is padded.
        from_tokenizer: whether it takes only those inputs that the tokenizer returns.
    """

    file: str
    module: nn.Module
    axes: Mapping[str, tuple[str, ...]]
    inputs: Callable[[int, int], dict[str, Tensor]]
    from_tokenizer: bool = False


def graphs_of(model: PreTrainedModel) -> list[Graph]:
    """The graphs as which a model is exported."""
    return _pair(model) if layout_of(model.config) == SEGMENTED else [_whole(model)]


class DocumentEncoder(nn.Module):
    """The lower layers: documents in, states out."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, document_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """``document_states`` (B, D, E) of ``document [SEP]`` and its mask, both (B, D)."""
        return {"document_states": encode(self.model, document_ids, attention_mask)}


class AnsweringModel(nn.Module):
    """Passes the question through the lower layers, then question and document through the upper ones."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, question_ids: Tensor, attention_mask: Tensor, document_states: Tensor) -> dict[str, Tensor]:
        """The model's outputs, given questions (B, Q), the mask of both slots (B, L) and states (B, D, E).

        Multiple choice takes questions (B, C, Q), a mask (B, C, L) and states (B · C, D, E).
        """
        return dict(answer(self.model, question_ids, document_states, attention_mask_BL=attention_mask))


def _whole(model: PreTrainedModel) -> Graph:
    taken = inspect.signature(model.forward).parameters
    axes = ("batch", "choices", "length") if is_multiple_choice(model) else ("batch", "length")
    return Graph(
        file=MODEL_FILE,
        module=model,
        axes={name: axes for name in ("input_ids", "token_type_ids", "attention_mask") if name in taken},
        inputs=lambda batch_size, length: _padded_inputs(model, batch_size=batch_size, length=length),
        from_tokenizer=True,
    )


def _pair(model: PreTrainedModel) -> list[Graph]:
    def documents(batch_size: int, length: int) -> dict[str, Tensor]:
        ids, mask = _slots(model, batch_size=batch_size, length=length)[1]
        return {"document_ids": ids, "attention_mask": mask}

    def questions(batch_size: int, length: int) -> dict[str, Tensor]:
        (question_ids, question_mask), (ids, mask) = _slots(model, batch_size=batch_size, length=length)
        states = encode(model, ids, mask)
        asked = {"question_ids": question_ids, "attention_mask": torch.cat([question_mask, mask], dim=-1)}
        sizes = (batch_size, *_choices_of(model), -1)
        return {**{name: value.reshape(sizes) for name, value in asked.items()}, "document_states": states}

    choices = ("choices",) if is_multiple_choice(model) else ()
    both = {
        "question_ids": ("batch", *choices, "question"),
        "attention_mask": ("batch", *choices, "length"),
    }
    document = ("sequence" if choices else "batch", "document")
    return [
        Graph(
            file=ENCODER_FILE,
            module=DocumentEncoder(model),
            axes={"document_ids": document, "attention_mask": document},
            inputs=documents,
        ),
        Graph(
            file=ANSWERING_FILE,
            module=AnsweringModel(model),
            axes={**both, "document_states": document},
            inputs=questions,
        ),
    ]


def _slots(model: PreTrainedModel, *, batch_size: int, length: int) -> tuple[tuple[Tensor, Tensor], ...]:
    """Ids and mask of questions and of documents (N, ...), together ``length`` tokens or as many as have positions."""
    length = min(length, max_positions_of(model.config))
    inputs = random_inputs(model, length=length, batch_size=batch_size * math.prod(_choices_of(model)))
    ids_NL, question_length = inputs["input_ids"].reshape(-1, length), inputs["question_length"]
    return tuple(with_padding(model, part) for part in (ids_NL[:, :question_length], ids_NL[:, question_length:]))


def _padded_inputs(model: PreTrainedModel, *, batch_size: int, length: int) -> dict[str, Tensor]:
    """Random inputs (B, L) or (B, C, L), of every kind that a model may take."""
    length = min(length, max_positions_of(model.config))
    shape = (batch_size, *_choices_of(model), length)
    ids_NL = random_inputs(model, length=length, batch_size=math.prod(shape[:-1]))["input_ids"].view(-1, length)
    # RoBERTa computes positions from which tokens are padding, so the ids must contain padding, too.
    ids_NL, mask_NL = with_padding(model, ids_NL)
    types_NL = torch.arange(length, device=model.device).expand_as(ids_NL) * _type_count(model) // length
    values = {"input_ids": ids_NL, "attention_mask": mask_NL, "token_type_ids": types_NL}
    return {name: value.reshape(shape) for name, value in values.items()}


def _choices_of(model: PreTrainedModel) -> tuple[int, ...]:
    """The size of the additional axis of multiple choice, if the model has it."""
    return (_CHOICES,) if is_multiple_choice(model) else ()


def _type_count(model: PreTrainedModel) -> int:
    return getattr(model.config, "type_vocab_size", 1)
