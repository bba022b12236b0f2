"""Loading models for serving: from their folder, in evaluation mode, on the GPU if there is one."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from secateur.errors import SecateurError
from secateur.structure.checkpoint import load, load_tokenizer
from secateur.structure.modeling_secateur import AUTO_CLASSES, stock_name


def load_for_serving(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and tokenizer in a folder.

    Raises:
        SecateurError: if the folder contains no model.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load(folder)
    return model.to(device), load_tokenizer(folder)  # type: ignore[arg-type]  # .to() of a device's name


def check_answers(model: PreTrainedModel) -> None:
    """Refuse a model that does not answer questions with a span of the document.

    Raises:
        SecateurError: naming the model's class.
    """
    answering = AUTO_CLASSES["AutoModelForQuestionAnswering"].get(model.config.model_type)
    if stock_name(type(model).__name__) != answering:
        raise SecateurError(f"a {type(model).__name__} does not answer questions with a span; give a model that does")
