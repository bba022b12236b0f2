"""A model carries the lengths of its training, through any folder that it is saved to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, BertConfig

from secateur.data.examples import Lengths
from secateur.data.trained_lengths import SQUAD, keep_lengths, lengths_of
from secateur.errors import SecateurError

OWN = Lengths(max_seq_length=48, max_question_length=16, doc_stride=8)


def test_lengths_survive_the_folder_and_give_way_to_those_that_are_asked_for(tmp_path: Path) -> None:
    config = BertConfig()
    keep_lengths(config, OWN)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert lengths_of(loaded) == OWN
    asked = lengths_of(loaded, max_seq_length=40, doc_stride=None)
    assert asked == Lengths(max_seq_length=40, max_question_length=16, doc_stride=8)


def test_a_model_from_elsewhere_is_read_as_usual_for_squad() -> None:
    assert lengths_of(BertConfig()) == SQUAD


@pytest.mark.parametrize("kept", [[48], {"max_seq_length": 48}, {**vars(OWN), "layout": "packed"}])
def test_anything_else_under_their_name_is_refused(kept: Any) -> None:
    config = BertConfig()
    config.secateur_lengths = kept
    with pytest.raises(SecateurError, match=r"^config\.json: secateur_lengths=[^\n]*: must give max_seq_length, "):
        lengths_of(config)
