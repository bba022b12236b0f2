"""Models small enough for surgery in a test, a batch for them, and gates."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import BertTokenizer, PreTrainedModel

from secateur.structure.gates import PerGate
from tests.architectures import random_model

MakeModel = Callable[..., PreTrainedModel]


@pytest.fixture(scope="module")
def make_model() -> MakeModel:
    """Builds a model of 3 layers with 4 heads of 8 and 24 units each, its biases away from zero; a BERT by default."""

    def make(
        task: str = "QuestionAnswering", *, model_type: str = "bert", attention: str | None = None, **settings: int
    ) -> PreTrainedModel:
        # None: what the architecture takes by itself, sdpa where there is a choice.
        model = random_model(model_type, task=task, attn_implementation=attention, **settings)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.2)
        return model

    return make


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    """Two sequences of 9 tokens, the second padded."""
    input_ids = torch.arange(1, 19).view(2, 9)
    attention_mask = torch.ones(2, 9, dtype=torch.long)
    attention_mask[1, 6:] = 0
    return {"input_ids": input_ids, "attention_mask": attention_mask}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> BertTokenizer:
    """A vocabulary of seven words."""
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "is"]))
    return BertTokenizer.from_pretrained(folder)


@pytest.fixture
def uneven_gates() -> PerGate:
    """Leaves 0, 3 and 1 heads, and 12, 0 and 5 units."""
    return PerGate(
        heads=(torch.zeros(4), torch.tensor([1.0, 1, 0, 1]), torch.tensor([0.0, 0, 1, 0])),
        units=(torch.tensor([0.0, 1] * 12), torch.zeros(24), torch.tensor([1.0] * 5 + [0] * 19)),
    )
