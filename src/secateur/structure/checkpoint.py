"""Model folders: Hugging Face checkpoints of stock or uneven shape, read without running their code.

A folder whose layers differ in width contains their sizes in ``config.json`` and the modelling file that builds them:
``AutoModelFor….from_pretrained(folder, trust_remote_code=True)`` works without secateur. A folder of stock shape is an
ordinary checkpoint.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

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

from secateur.errors import SecateurError
from secateur.structure import modeling_secateur
from secateur.structure.anatomy import anatomy_of, layers_of
from secateur.structure.checkpoint_files import check_tokenizer, check_weights, read_config
from secateur.structure.fixed_zeros import copy_declarations
from secateur.structure.modeling_secateur import (
    AUTO_CLASSES,
    NATURAL_QUESTIONS,
    PREFIX,
    SEGMENTED_PREFIX,
    auto_class_of,
    stock_class,
    stock_name,
)
from secateur.structure.shape import describe_structure, segments_of, structure_sizes

_MODELLING_FILE = Path(modeling_secateur.__file__)


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """Write ``model`` in float32, its shape and ``tokenizer`` to ``folder``, replacing what is there.

    The folder is written as ``<folder>.partial`` and renamed, so a folder of the final name is always complete. The
    modelling file is included only if transformers by itself cannot build the shape.

    Args:
        model: the model; it is not changed.
        tokenizer: its tokenizer.
        folder: where to write.

    Raises:
        SecateurError: if the architecture is not supported, or an uneven model's task has no Auto class.
    """
    folder = Path(folder)
    partial = folder.with_name(f"{folder.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    config = _config_to_save(model)
    in_float32(model).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    _write_config(config, partial)
    put_in_place(partial, folder)


def load(folder: str | Path, *, auto_class: type | None = None, **settings: Any) -> PreTrainedModel:
    """Load a folder of :func:`save_model`, or any Hugging Face checkpoint on disk, in evaluation mode.

    Weights are loaded as float32, whatever type the file has. Only safetensors are read, and no code in the folder is
    run.

    Args:
        folder: a local folder with ``config.json`` and ``model.safetensors``.
        auto_class: the task's Auto class, such as ``AutoModelForQuestionAnswering``; by default the class that
            ``config.json`` names. Weights that the folder lacks (a new head) are initialised, and transformers warns
            about them.
        settings: values that replace those in ``config.json``: ``num_labels``, ``attn_implementation`` …

    Raises:
        SecateurError: if this is not such a folder, a file of it is missing or damaged, its class is unusable, or its
            weights do not fit.
    """
    folder = Path(folder)
    config = read_config(folder)
    check_weights(folder, config)
    model_class = _model_class(folder, config, auto_class)
    try:
        return model_class.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            **settings,
        )
    except SafetensorError as error:
        raise SecateurError(f"{folder}: its weights are damaged ({error}); write the folder again") from error
    except (StrictDataclassError, KeyError, ValueError) as error:
        raise SecateurError(
            f"{folder}/config.json: does not describe a valid {model_class.__name__} ({_one_line(error)}); correct "
            "it, or write the folder again"
        ) from error
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        changed = f" with {settings}" if settings else ""
        raise SecateurError(
            f"{folder}: its weights do not have the shapes that its config.json{changed} gives a "
            f"{model_class.__name__}; keep the files of one model together, and do not change the size of its head"
        ) from error


def with_fresh_head(folder: str | Path, *, auto_class: type, **settings: Any) -> PreTrainedModel:
    """The body of a checkpoint on disk with a newly initialised head, whatever head the checkpoint has.

    Args:
        folder, auto_class, settings: as for :func:`load`.

    Raises:
        SecateurError: as for :func:`load`.
    """
    folder = Path(folder)
    body = load(folder, auto_class=AutoModel)
    model_class = _model_class(folder, read_config(folder), auto_class)
    config = AutoConfig.from_pretrained(folder, **settings)
    return transplant(body, model_class._from_config(config, dtype=torch.float32))


def transplant(body: PreTrainedModel, model: PreTrainedModel) -> PreTrainedModel:
    """Copy the weights and fixed zeros of ``body`` into ``model``, which has a head; a pooler it lacks is skipped."""
    weights = body.state_dict()
    target = model.base_model
    target.load_state_dict({name: weights[name] for name in target.state_dict()})
    copy_declarations(body, model)
    return model


def load_tokenizer(folder: str | Path, **settings: Any) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model folder, without running code in it.

    Args:
        settings: values that replace those in ``tokenizer_config.json``: ``model_input_names`` …

    Raises:
        SecateurError: if the folder contains no vocabulary, or a damaged one.
    """
    folder = Path(folder)
    check_tokenizer(folder)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **settings)
    except Exception as error:  # tokenizers raises plain exceptions for files it cannot read
        raise SecateurError(f"{folder}: its tokenizer is damaged ({_one_line(error)}); write it again") from error


def in_float32(model: PreTrainedModel) -> PreTrainedModel:
    """The model itself if it is in float32 throughout, else a copy that is."""
    is_float32 = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    # Converting the model rather than its state dict keeps tied weights tied.
    return model if is_float32 else copy.deepcopy(model).float()


def stock_config(model: PreTrainedModel) -> PretrainedConfig:
    """A copy of the model's configuration that names its stock class and no modelling file."""
    config = copy.deepcopy(model.config)
    for name in ("secateur", "auto_map"):
        if hasattr(config, name):
            delattr(config, name)
    config.dtype = "float32"
    config.architectures = [stock_name(type(model).__name__)]
    config.num_hidden_layers = len(layers_of(model))
    return config


def put_in_place(partial: Path, folder: Path) -> None:
    """Rename ``partial`` to ``folder``; an existing folder is first renamed, then deleted."""
    replaced = folder.with_name(f"{folder.name}.replaced")
    if replaced.exists():
        shutil.rmtree(replaced)
    if folder.exists():
        folder.replace(replaced)
    partial.replace(folder)
    if replaced.exists():
        shutil.rmtree(replaced)


def _config_to_save(model: PreTrainedModel) -> PretrainedConfig:
    """The model's configuration, updated to describe the actual shape of its modules."""
    heads, units = structure_sizes(model)
    config = stock_config(model)
    is_segmented = segments_of(model.config) is not None
    base_name = stock_name(type(model).__name__)
    is_stock = not is_segmented and not base_name.endswith(NATURAL_QUESTIONS)
    if is_stock and set(heads) == {config.num_attention_heads} and len(set(units)) == 1:
        names = anatomy_of(config).config_names
        setattr(config, names.get("intermediate_size", "intermediate_size"), units[0])
        return config
    auto_class = auto_class_of(base_name)
    if auto_class is None:
        raise SecateurError(
            f"{base_name} cannot be saved in an uneven shape: its task has none of the Auto classes "
            f"{', '.join(AUTO_CLASSES)}"
        )
    own_name = (SEGMENTED_PREFIX if is_segmented else PREFIX) + base_name
    config.architectures = [own_name]
    config.auto_map = {auto_class: f"{_MODELLING_FILE.stem}.{own_name}"}
    config.secateur = describe_structure(model)
    return config


def _write_config(config: PretrainedConfig, folder: Path) -> None:
    """Write ``config`` and, for an uneven shape, the modelling file; for a stock shape, delete that file."""
    config.save_pretrained(folder)
    if hasattr(config, "secateur"):
        shutil.copyfile(_MODELLING_FILE, folder / _MODELLING_FILE.name)
    else:
        (folder / _MODELLING_FILE.name).unlink(missing_ok=True)


def _one_line(error: Exception) -> str:
    """An exception in one line, with its type, since the message of a KeyError is only a name."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _model_class(folder: Path, config: dict[str, Any], auto_class: type | None) -> type[PreTrainedModel]:
    """The class to build: from transformers for a stock shape, from our own modelling file for an uneven one."""
    model_type: Any = config.get("model_type")
    listed = config.get("architectures")
    if auto_class is not None:
        asked = auto_class.__name__
        name = AUTO_CLASSES.get(asked, {}).get(model_type)
    else:
        asked = f"architectures={listed!r}"
        name = listed[0] if isinstance(listed, list) and len(listed) == 1 else None
    base = stock_class(name) if isinstance(name, str) else None
    if not isinstance(name, str) or base is None or not _builds(base, model_type):
        raise SecateurError(
            f"{folder}/config.json: {asked} with model_type={model_type!r} does not name a model class of "
            "transformers; name the class that the weights belong to"
        )
    shape = config.get("secateur")
    if shape is None and not name.endswith(NATURAL_QUESTIONS):
        return base
    prefix = SEGMENTED_PREFIX if shape and "segments" in shape else PREFIX
    return getattr(modeling_secateur, prefix + stock_name(name))


def _builds(model_class: type[PreTrainedModel], model_type: str | None) -> bool:
    own = getattr(model_class.config_class, "model_type", None)
    return own is not None and own == model_type
