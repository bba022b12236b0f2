"""Models as they are served: from their folder, in evaluation mode, on the device that there is."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from secateur.structure.checkpoint import load, load_tokenizer


def load_for_serving(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A folder's model and tokenizer.

    Raises:
        SecateurError: if the folder holds none.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return load(folder).to(device), load_tokenizer(folder)  # type: ignore[arg-type]  # .to() of a device's name
