"""Initial models: a checkpoint with a fresh head, or random weights; and the tokenizers that go with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

from secateur.configuration.instantiation import unknown_key
from secateur.configuration.schema import ModelConfig
from secateur.data.vocabulary import PAD_ID, train_unigram, train_wordpiece
from secateur.errors import SecateurError
from secateur.structure.anatomy import ANATOMIES, anatomy_of, max_positions_of, takes_token_types
from secateur.structure.auto import auto_class_named
from secateur.structure.checkpoint import load, load_tokenizer, transplant, with_fresh_head
from secateur.structure.fixed_zeros import (
    declare_fixed_zeros,
    declared_patterns,
    drop_stale_declarations,
    layer_patterns,
)

# The files that determine what a checkpoint computes: weights, configuration, vocabulary.
CHECKPOINT_FILES = ("*.safetensors", "*.json", "vocab.*", "merges.txt", "*.model")

# How to learn a vocabulary, by the name that anatomies give its kind.
_VOCABULARIES: dict[str, Any] = {"wordpiece": train_wordpiece, "unigram": train_unigram}


def check_model(model: ModelConfig, *, max_seq_length: int) -> None:
    """Refuse, from its configuration alone, a model that cannot be compressed or has too few positions for the data.

    Raises:
        SecateurError: for an unsupported architecture, an invalid checkpoint, or too few positions.
    """
    if model.keep_zeros and model.checkpoint is None:
        raise SecateurError("model.keep_zeros=true: needs a model.checkpoint; random weights have no zeros to keep")
    check_config(config_of(model), max_seq_length=max_seq_length)


def check_config(config: PretrainedConfig, *, max_seq_length: int) -> None:
    """Refuse an unsupported architecture, a number of heads that does not divide the width, or too few positions.

    Raises:
        SecateurError: for the first problem found.
    """
    anatomy_of(config)
    if config.num_attention_heads < 1 or config.hidden_size % config.num_attention_heads:
        raise SecateurError(
            f"model.architecture.num_attention_heads={config.num_attention_heads}: must divide "
            f"hidden_size={config.hidden_size}"
        )
    if max_seq_length > max_positions_of(config):
        raise SecateurError(
            f"dataset.max_seq_length={max_seq_length}: beyond the {max_positions_of(config)} positions of "
            f"the model; set dataset.max_seq_length={max_positions_of(config)} or less"
        )


def check_weights_of(model: ModelConfig) -> None:
    """Fetch the weights of a hub checkpoint unless they are cached.

    Raises:
        SecateurError: if they are not available, or are pickles.
    """
    if model.checkpoint is None or Path(model.checkpoint).is_dir():
        return
    with _hub_errors_reported(model, what="weights"):
        try:
            cached_file(model.checkpoint, SAFE_WEIGHTS_INDEX_NAME, revision=model.revision)
        except OSError:  # weights in one file have no index
            cached_file(model.checkpoint, SAFE_WEIGHTS_NAME, revision=model.revision)


def tokenizer_of(model: ModelConfig, texts: Iterable[str]) -> PreTrainedTokenizerBase:
    """The checkpoint's tokenizer, or one with a vocabulary of the architecture's kind learnt from ``texts``.

    Whatever its class, the tokenizer returns no token types for an architecture that does not take them.

    Raises:
        SecateurError: if the checkpoint's tokenizer is not available or is damaged.
    """
    settings: dict[str, Any] = {}
    config = config_of(model)
    if not takes_token_types(config):
        settings["model_input_names"] = ["input_ids", "attention_mask"]
    if model.checkpoint is None:
        assert model.vocabulary_size is not None
        learn = _VOCABULARIES[anatomy_of(config).vocabulary]
        return learn(texts, vocab_size=model.vocabulary_size, **settings)
    if Path(model.checkpoint).is_dir():
        return load_tokenizer(model.checkpoint, **settings)
    with _hub_errors_reported(model, what="tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(model.checkpoint, revision=model.revision, **settings)
        if len(tokenizer) == len(tokenizer.all_special_ids):  # what transformers makes where there is no vocabulary
            raise FileNotFoundError("no vocabulary was found")
    return tokenizer


def fresh_model(
    model: ModelConfig,
    *,
    auto_class: str,
    head: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    keep_head: bool = False,
) -> PreTrainedModel:
    """The model before it is trained on the task; its random weights are determined by ``seed``.

    Args:
        auto_class: name of the Auto class that has the task's head.
        head: config settings of the head, such as ``num_labels``.
        keep_head: keep the checkpoint's weights of such a head, as for a masked language model; otherwise the head is
            initialised at random for every checkpoint.

    Raises:
        SecateurError: if the checkpoint's weights are not available, or do not match its config.
    """
    pl.seed_everything(seed, verbose=False)
    auto = auto_class_named(auto_class)
    head = {**anatomy_of(config_of(model)).config_values, **head}
    if model.checkpoint is None:
        config = config_of(model)
        config.update({**head, "vocab_size": len(tokenizer)})
        return auto.from_config(config)
    if Path(model.checkpoint).is_dir():
        make = load if keep_head else with_fresh_head
        found = make(model.checkpoint, auto_class=auto, **head)
        drop_stale_declarations(found)  # a different head may lack parameters that the checkpoint declares
    else:
        with _hub_errors_reported(model, what="weights"):
            found = _from_hub(model.checkpoint, model.revision, auto=auto, head=head, keep_head=keep_head)
    if len(tokenizer) > found.config.vocab_size:  # the task adds tokens
        found.resize_token_embeddings(len(tokenizer))
    return with_kept_zeros(found, model)


def with_kept_zeros(found: PreTrainedModel, model: ModelConfig) -> PreTrainedModel:
    """The model of a checkpoint; with ``keep_zeros`` the zeros in its layers' matrices are declared fixed.

    A model that already declares fixed zeros is left unchanged.

    Raises:
        SecateurError: if there are no zeros to keep.
    """
    if model.keep_zeros and not declared_patterns(found.config):
        declare_fixed_zeros(found, layer_patterns(found.config))
        if not declared_patterns(found.config):
            raise SecateurError(
                f"model.keep_zeros=true: {model.checkpoint} has no zeros in its layers' matrices; set it to false"
            )
    return found


def checkpoint_fingerprint(checkpoint: str | Path, *, revision: str | None = None) -> str:
    """A short key of the weights: by content for a folder, by name and revision for a hub model."""
    folder = Path(checkpoint)
    if not folder.is_dir():
        return f"{checkpoint}@{revision}"
    digest = hashlib.sha256()
    for path in sorted(path for pattern in CHECKPOINT_FILES for path in folder.glob(pattern)):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def config_of(model: ModelConfig) -> PretrainedConfig:
    """The initial configuration of the model, read from its checkpoint or built from its settings.

    Raises:
        SecateurError: if the checkpoint is invalid, or the architecture has no such setting.
    """
    if model.checkpoint is None:
        return _random_config(model)
    place, remedy = f"model.checkpoint={model.checkpoint}", "give a folder with config.json and model.safetensors"
    folder = Path(model.checkpoint)
    if folder.exists() and not (folder / "config.json").is_file():
        raise SecateurError(f"{place}: contains no config.json, so it is not a checkpoint; {remedy}")
    try:
        return AutoConfig.from_pretrained(model.checkpoint, revision=model.revision)
    except (OSError, ValueError, StrictDataclassError) as error:
        if folder.exists():
            raise SecateurError(f"{place}: its config.json is unusable: {_first_sentence(error)}") from error
        raise SecateurError(f"{place}: neither a folder nor a hub model that can be reached; {remedy}") from error


def _from_hub(
    name: str, revision: str | None, *, auto: Any, head: Mapping[str, Any], keep_head: bool
) -> PreTrainedModel:
    reading: dict[str, Any] = {"revision": revision, "dtype": torch.float32, "use_safetensors": True}
    if keep_head:
        return auto.from_pretrained(name, **reading, **head)
    config = AutoConfig.from_pretrained(name, revision=revision, **head)
    return transplant(AutoModel.from_pretrained(name, **reading), auto.from_config(config, dtype=torch.float32))


@contextmanager
def _hub_errors_reported(model: ModelConfig, *, what: str) -> Iterator[None]:
    """Within the context, errors of reading a hub checkpoint are reported in one line.

    Raises:
        SecateurError: in place of the libraries' errors.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise SecateurError(
            f"model.checkpoint={model.checkpoint}: its {what} cannot be read from the cache or the hub "
            f"({_first_sentence(error)}); repeat the command with access to the hub, or give a folder with "
            "config.json and model.safetensors"
        ) from error


def _random_config(model: ModelConfig) -> PretrainedConfig:
    if model.architecture is None or model.vocabulary_size is None:
        raise SecateurError("model.checkpoint=null: give a checkpoint, or model.architecture and model.vocabulary_size")
    settings = dict(model.architecture)
    model_type = settings.pop("model_type", None)
    if model_type not in ANATOMIES:
        supported = ", ".join(sorted(ANATOMIES))
        raise SecateurError(f"model.architecture.model_type={model_type}: must be one of {supported}")
    default = AutoConfig.for_model(model_type)
    own_names = {**default.attribute_map, **ANATOMIES[model_type].config_names}
    _check_names(settings, own_names, known=default.to_dict())
    settings = {own_names.get(name, name): value for name, value in settings.items()}
    try:
        return AutoConfig.for_model(model_type, **{**settings, "pad_token_id": PAD_ID})
    except StrictDataclassError as error:
        raise SecateurError(f"model.architecture: {_first_sentence(error)}") from error


def _check_names(settings: Iterable[str], own_names: Mapping[str, str], *, known: Iterable[str]) -> None:
    """Each setting has the same name for every architecture: BERT's, if BERT has that setting."""
    common_names = {own: common for common, own in own_names.items()}
    for name in settings:
        if name in common_names:
            raise SecateurError(f"model.architecture.{name}: unknown key; it is called {common_names[name]}")
        if name not in own_names and name not in known:
            raise unknown_key(name, {*known, *own_names} - {*common_names}, where="model.architecture")


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).split()).partition(". ")[0]
