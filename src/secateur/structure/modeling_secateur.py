"""Models that transformers by itself cannot build, for any supported architecture and task, described by
``config.json``.

This file is copied unchanged into exported folders, so it imports only torch and transformers. Classes such as
``SecateurBertForQuestionAnswering``, whose layers differ in width, or ``SecateurSegmentedBertForQuestionAnswering``,
which also reads question and document separately, are created when their name is first looked up.
``…ForNaturalQuestions`` has a head that transformers lacks: that of question answering, and a classifier of the answer
type. ``config.secateur`` contains

* ``heads``, ``units``: numbers of heads and FFN units of each layer, first to last;
* ``head_size``: width of one head;
* ``paths``: where the architecture keeps its layers (relative to the base model) and, if they can be cut, attention and
  projections (relative to a layer), and the attention's attributes for ``head_count`` and ``heads_width``;
* ``segments``, if question and document are read separately: ``lower_layers``, the number of layers in which they do
  not attend to each other; ``question_slot``, the longest question in tokens, special tokens included;
  ``first_position``, the index of a segment's first position, null if positions are distances; ``has_token_types``,
  whether a document's tokens have type 1; ``ends_in_cls``, whether [CLS] is the question's last token, with type 2;
  ``length_first``, whether layers take states (L, B, E). The last two apply to XLNet.

Shapes: B sequences, Q tokens of the question's slot, D of the document's, L = Q + D, E features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.utils import ModelOutput

PREFIX = "Secateur"
SEGMENTED_PREFIX = PREFIX + "Segmented"

# Name suffixes of a class with the head of Natural Questions, and of the class that it is built on.
NATURAL_QUESTIONS, QUESTION_ANSWERING = "ForNaturalQuestions", "ForQuestionAnswering"
ANSWER_TYPES = ("none", "long", "short", "yes", "no")

# Auto class -> the class it stands for, by model_type.
AUTO_CLASSES: dict[str, Mapping[str, Any]] = {
    "AutoModel": modeling_auto.MODEL_MAPPING_NAMES,
    "AutoModelForQuestionAnswering": modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES,
    "AutoModelForSequenceClassification": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    "AutoModelForMultipleChoice": modeling_auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES,
    "AutoModelForMaskedLM": modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    # After masked LM: for most architectures it stands for that class too.
    "AutoModelForPreTraining": modeling_auto.MODEL_FOR_PRETRAINING_MAPPING_NAMES,
    # Not in transformers, like the class that it stands for; XLNet's question answering is built differently.
    "AutoModelForNaturalQuestions": {
        model_type: name.replace(QUESTION_ANSWERING, NATURAL_QUESTIONS)
        for model_type, name in modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES.items()
        if name.endswith(QUESTION_ANSWERING)
    },
}


class SecateurMixin:
    """Builds the dense model, then cuts each layer down to the sizes that ``config.secateur`` gives."""

    base_model: nn.Module

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]  # the architecture's own constructor
        shape = getattr(config, "secateur", None)
        if shape is None or "query" not in shape["paths"]:  # a dense model with our own head; or one that cannot be cut
            return
        layers: Any = self.base_model.get_submodule(shape["paths"]["layers"])
        for layer, heads, units in zip(layers, shape["heads"], shape["units"], strict=True):
            keep_heads(layer, torch.arange(heads), paths=shape["paths"], head_size=shape["head_size"])
            keep_units(layer, torch.arange(units), paths=shape["paths"])


@dataclass
class NaturalQuestionsOutput(ModelOutput):
    """Logits of the answer's first and last token (B, L) and of its type (B, 5); ``loss`` if labels were given."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    answer_type_logits: Tensor | None = None


class NaturalQuestionsMixin:
    """Predicts a span, or [CLS] for none, and from [CLS] its type, one of ``ANSWER_TYPES`` (arXiv 1901.08634)."""

    base_model: nn.Module
    qa_outputs: nn.Module

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)  # type: ignore[call-arg]  # the architecture's own constructor
        self.answer_type = nn.Linear(config.hidden_size, len(ANSWER_TYPES))
        self._init_weights(self.answer_type)  # type: ignore[attr-defined]  # as the architecture does

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        answer_types: Tensor | None = None,
        **inputs: Any,
    ) -> NaturalQuestionsOutput:
        """The logits and, if the three labels (B,) are given, the mean of their cross-entropies."""
        if token_type_ids is not None:  # which not every architecture takes
            inputs["token_type_ids"] = token_type_ids
        states_BLE = self.base_model(input_ids=input_ids, attention_mask=attention_mask, **inputs)[0]
        start_BL, end_BL = self.qa_outputs(states_BLE).unbind(-1)
        type_logits = self.answer_type(states_BLE[:, 0])
        if start_positions is None or end_positions is None or answer_types is None:
            return NaturalQuestionsOutput(None, start_BL, end_BL, type_logits)
        pairs = ((start_BL, start_positions), (end_BL, end_positions), (type_logits, answer_types))
        loss = torch.stack([nn.functional.cross_entropy(logits, label) for logits, label in pairs]).mean()
        return NaturalQuestionsOutput(loss, start_BL, end_BL, type_logits)


class SegmentedMixin(SecateurMixin):
    """Reads question and document separately in its lower layers, jointly in the others (arXiv 2005.00697).

    Inputs consist of two slots, each padded at its end: ``[CLS] question [SEP]`` and ``document [SEP]``. The document's
    positions restart, so that the lower layers' output for it does not depend on the question. XLNet's question is
    ``question [SEP] [CLS]``, padded at its start, because padding between the two would increase their distance.
    """

    config: Any

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        question_length: int | None = None,
        document_states: Tensor | None = None,
        **inputs: Any,
    ) -> Any:
        """The stock model's outputs, given the two slots, or the question's slot and the document's states.

        Args:
            input_ids: both slots (..., Q + D); with ``document_states`` only the question's (..., Q), or a single one,
                (1, Q), for all documents. Multiple choice takes (B, C, Q), and states (B · C, D, E).
            attention_mask: 1 at tokens, 0 at padding, over both slots (..., Q + D); None: no padding.
            question_length: Q.
            document_states: the result of :meth:`encode`, (B, D, E), or (1, D, E) for one document and many questions.
            inputs: further inputs of the stock model, such as labels.

        Raises:
            ValueError: unless either ``question_length`` or ``document_states`` is given.
        """
        if (question_length is None) == (document_states is None):
            raise ValueError(
                "this model reads question and document separately: lay them out as '[CLS] question [SEP]' and "
                "'document [SEP]', and give question_length, the tokens of the first, or document_states from encode()"
            )
        asked_once = False
        if document_states is not None:
            question_length = input_ids.shape[-1]
            # shape[0], not len(), which would fix the batch size when traced
            if asked_once := input_ids.ndim == 2 and input_ids.shape[0] == 1 < document_states.shape[0]:
                input_ids = input_ids.expand(document_states.shape[0], -1)
            behind = input_ids.new_zeros(*input_ids.shape[:-1], document_states.shape[1])  # ids that are never used
            input_ids = torch.cat([input_ids, behind], dim=-1)
        assert question_length is not None
        lengths = (question_length, input_ids.shape[-1] - question_length)
        segments, layers = self.config.secateur["segments"], list(self._layers())
        lower = layers[: segments["lower_layers"]]
        if lower or document_states is not None:
            apart = _ApartLengthFirst if segments.get("length_first") else _Apart
            layers = [apart(lower, question_length, document_states, asked_once), *layers[len(lower) :]]
        where = segment_inputs(input_ids, lengths, segments)
        with self._running(layers), self._summarising(question_length - 1):
            return super().forward(  # type: ignore[misc]  # the architecture's own
                input_ids=input_ids, attention_mask=attention_mask, **{**where, **inputs}
            )

    @torch.no_grad()
    def encode(self, document_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Run the lower layers on documents; the output serves all questions.

        Args:
            document_ids: ``document [SEP]``, (B, D).
            attention_mask: 1 at tokens, 0 at padding, (B, D); None: no padding.

        Returns:
            The states (B, D, E); those at padding are meaningless.

        Raises:
            ValueError: if there are no tokens.
        """
        if document_ids.shape[-1] == 0:
            raise ValueError("a document without tokens cannot be encoded: give at least [SEP]")
        segments = self.config.secateur["segments"]
        where = segment_inputs(document_ids, (0, document_ids.shape[-1]), segments)
        with self._running(list(self._layers())[: segments["lower_layers"]]):
            return self.base_model(input_ids=document_ids, attention_mask=attention_mask, **where).last_hidden_state

    def _layers(self) -> Iterable[nn.Module]:
        layers: Any = self.base_model.get_submodule(self.config.secateur["paths"]["layers"])
        return layers

    @contextmanager
    def _running(self, layers: Iterable[nn.Module]) -> Iterator[None]:
        """Within the context, the encoder runs ``layers`` instead of its own."""
        path, own = self.config.secateur["paths"]["layers"], self._layers()
        self.base_model.set_submodule(path, nn.ModuleList(layers))
        try:
            yield
        finally:
            self.base_model.set_submodule(path, own)  # type: ignore[arg-type]

    @contextmanager
    def _summarising(self, place: int) -> Iterator[None]:
        """Within the context, a head that summarises a sequence by its last token reads position ``place``, [CLS]."""
        head: Any = getattr(self, "sequence_summary", None)
        if head is None or not self.config.secateur["segments"].get("ends_in_cls"):
            yield  # other heads read the first token, which is [CLS] here too
            return
        hook = head.register_forward_pre_hook(lambda _, given: (given[0][:, place : place + 1],))
        try:
            yield
        finally:
            hook.remove()


class _Apart(nn.Module):
    """The lower layers as a single layer: each segment passes through them separately, unless its states are cached.

    With ``asked_once``, the question is the same in all rows and is computed only once.
    """

    def __init__(
        self, layers: Iterable[nn.Module], question_length: int, document_BDE: Tensor | None, asked_once: bool
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.question_length = question_length
        self.document_BDE = document_BDE
        self.asked_once = asked_once
        self.rows = slice(1) if asked_once else slice(None)

    def forward(self, x_BLE: Tensor, attention_mask: Tensor | None = None, *arguments: Any, **options: Any) -> Tensor:
        def alone(part: slice) -> Tensor:
            # Contiguous: with a slice, a matrix product would copy its weights once per row of the batch.
            states, mask = x_BLE[self.rows, part].contiguous(), _part_of(attention_mask, self.rows, part)
            for layer in self.layers:
                states = layer(states, mask, *arguments, **options)
            return states

        return self._joined(alone)

    def _joined(self, alone: Callable[[slice], Tensor]) -> Tensor:
        """Both segments' states (B, L, E); ``alone`` runs the layers on one segment."""
        question_BQE = alone(slice(None, self.question_length))
        if self.document_BDE is None:
            document_BDE = alone(slice(self.question_length, None))
        else:
            document_BDE = self.document_BDE.to(question_BQE)
        if self.asked_once:
            question_BQE = question_BQE.expand(document_BDE.shape[0], -1, -1)
        elif self.document_BDE is not None:
            document_BDE = document_BDE.expand(question_BQE.shape[0], -1, -1)
        return torch.cat([question_BQE, document_BDE], dim=1)


class _ApartLengthFirst(_Apart):
    """The same for XLNet's layers, which take states (L, B, E) and additional inputs for pairs of tokens."""

    def forward(  # type: ignore[override]  # other layers, other arguments
        self,
        x_LBE: Tensor,
        _queries: None,
        *,
        attn_mask_h: Tensor | None,
        r: Tensor,
        seg_mat: Tensor | None,
        **options: Any,
    ) -> tuple[Tensor, None]:
        def alone(part: slice) -> Tensor:
            states = x_LBE[part, self.rows]
            # Of the 2 L distances, in descending order from L, those that occur within the segment.
            distances = r[len(x_LBE) - len(states) : len(x_LBE) + len(states), self.rows]
            mask, types = (None if of is None else of[part, part, self.rows] for of in (attn_mask_h, seg_mat))
            for layer in self.layers:
                states, _ = layer(states, None, attn_mask_h=mask, r=distances, seg_mat=types, **options)
            return states.transpose(0, 1)

        return self._joined(alone).transpose(0, 1), None


def segment_inputs(ids: Tensor, lengths: tuple[int, int], segments: Mapping[str, Any]) -> dict[str, Tensor]:
    """Positions and token types of a question's and a document's slot, (B, Q + D), if the architecture has them.

    Args:
        ids: (..., Q + D), for its shape and device; leading dimensions are flattened to B.
        lengths: Q and D, the tokens of the slots.
        segments: ``segments`` of ``config.secateur``.
    """
    shape = ids.flatten(0, -2).shape
    found = {}
    if segments["first_position"] is not None:
        positions = torch.cat([torch.arange(length, device=ids.device) for length in lengths])
        found["position_ids"] = (positions + segments["first_position"]).expand(shape)
    if segments["has_token_types"]:
        types = (torch.arange(sum(lengths), device=ids.device) >= lengths[0]).long()
        if segments.get("ends_in_cls"):
            types[max(0, lengths[0] - 1) : lengths[0]] = 2
        found["token_type_ids"] = types.expand(shape)
    return found


def _part_of(mask: Tensor | None, rows: slice, part: slice) -> Tensor | None:
    """A segment's part of the attention mask that the model has prepared: None, (B, 1, L or 1, L), or (B, L)."""
    if mask is None:
        return None
    if mask.ndim == 4 and mask.shape[-2] > 1:
        mask = mask[:, :, part]
    return mask[rows, ..., part]


def keep_heads(layer: nn.Module, keep: Tensor, *, paths: Mapping[str, str], head_size: int) -> None:
    """Keep only the heads ``keep`` (indices) in ``layer``, in place; the output bias stays.

    Without any head, the output projection has no inputs and returns its bias.
    """
    columns = (keep.unsqueeze(1) * head_size + torch.arange(head_size, device=keep.device)).flatten()
    for name in ("query", "key", "value"):
        _keep_outputs(layer.get_submodule(paths[name]), columns)
    _keep_inputs(layer.get_submodule(paths["attention_output"]), columns)
    attention: Any = layer.get_submodule(paths["attention"])
    setattr(attention, paths["head_count"], len(keep))
    setattr(attention, paths["heads_width"], len(columns))


def keep_units(layer: nn.Module, keep: Tensor, *, paths: Mapping[str, str]) -> None:
    """Keep only the FFN units ``keep`` (indices) in ``layer``, in place; the output bias stays."""
    _keep_outputs(layer.get_submodule(paths["up"]), keep)
    _keep_inputs(layer.get_submodule(paths["down"]), keep)


def auto_class_of(class_name: str) -> str | None:
    """The name of the Auto class for a model class, or None if there is none."""
    return next((auto for auto, names in AUTO_CLASSES.items() if _based_on(class_name) in names.values()), None)


def stock_name(class_name: str) -> str:
    """The name of one of our classes without its prefix; any other name unchanged."""
    return class_name.removeprefix(SEGMENTED_PREFIX).removeprefix(PREFIX)


def stock_class(class_name: str) -> type[PreTrainedModel] | None:
    """The class of transformers that one of ours is built on; None if there is none."""
    found = getattr(transformers, _based_on(stock_name(class_name)), None)
    return found if isinstance(found, type) and issubclass(found, PreTrainedModel) else None


def __getattr__(name: str) -> type[PreTrainedModel]:
    """Create ``Secateur<class>`` or ``SecateurSegmented<class>`` for a model class of transformers or of this file."""
    base = stock_class(name) if name.startswith(PREFIX) else None
    if base is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # With _auto_class set, save_pretrained adds this file and auto_map to the folder it writes.
    members = {"__module__": __name__, "_auto_class": auto_class_of(base.__name__)}
    mixins: list[type] = [SegmentedMixin if name.startswith(SEGMENTED_PREFIX) else SecateurMixin]
    if name.endswith(NATURAL_QUESTIONS):
        mixins.append(NaturalQuestionsMixin)
    globals()[name] = made = type(name, (*mixins, base), members)
    return made


def _based_on(class_name: str) -> str:
    return class_name.replace(NATURAL_QUESTIONS, QUESTION_ANSWERING)


def _keep_outputs(linear: Any, rows: Tensor) -> None:
    linear.weight, linear.out_features = _selected(linear.weight, 0, rows), len(rows)
    if linear.bias is not None:
        linear.bias = _selected(linear.bias, 0, rows)


def _keep_inputs(linear: Any, columns: Tensor) -> None:
    linear.weight, linear.in_features = _selected(linear.weight, 1, columns), len(columns)


def _selected(parameter: Tensor, dim: int, keep: Tensor) -> nn.Parameter:
    kept = parameter.detach().index_select(dim, keep.to(parameter.device))
    return nn.Parameter(kept, requires_grad=parameter.requires_grad)
