"""Decomposed models: k=0 equals the dense model, slots stay separate, caching and saving change nothing."""

import itertools
import json
import subprocess
import sys

import pytest
import torch
import transformers

from secateur.errors import SecateurError
from secateur.structure.anatomy import ANATOMIES
from secateur.structure.checkpoint import load, save_model
from secateur.structure.decomposition import answer, decompose, encode, layout_of, lower_layers_of
from secateur.structure.depth import keep_layers
from secateur.structure.modeling_secateur import segment_inputs, stock_name
from secateur.structure.shape import segments_of, structure_sizes
from secateur.structure.surgery import shrink
from tests.architectures import ALL_ARCHITECTURES, ARCHITECTURES

SLOT = 8
# XLNet has one way of attending.
KERNELS = [*itertools.product(ARCHITECTURES, ("sdpa", "eager")), ("xlnet", "eager")]
TASKS = ("QuestionAnswering", "SequenceClassification", "MultipleChoice")


@pytest.fixture
def slots():
    return slots_of("bert")


def slots_of(model_type):
    """Two questions of 5 and 3 tokens, two documents of 7 and 9, each in its slot; XLNet's questions end theirs."""
    generator = torch.Generator().manual_seed(4)
    mask = torch.ones(2, 14, dtype=torch.long)
    mask[1, question_padding(model_type)] = mask[0, 12:] = 0
    ids = torch.randint(1, 40, (2, 14), generator=generator) * mask
    return {"input_ids": ids, "attention_mask": mask, "question_length": 5}


def question_padding(model_type):
    return slice(0, 2) if ANATOMIES[model_type].ends_in_cls else slice(3, 5)


def logits(outputs):
    return torch.cat(list(outputs.to_tuple()), dim=-1)


def run(model, inputs):
    with torch.no_grad():
        return logits(model(**inputs))


def states_of(model, slots):
    ids, mask, length = slots["input_ids"], slots["attention_mask"], slots["question_length"]
    return encode(model, ids[:, length:], mask[:, length:])


def cached(model, slots):
    question = slots["input_ids"][:, : slots["question_length"]]
    with torch.no_grad():
        return logits(answer(model, question, states_of(model, slots), attention_mask_BL=slots["attention_mask"]))


@pytest.mark.parametrize(("model_type", "attention"), KERNELS)
def test_without_lower_layers_it_is_the_dense_model_to_the_bit(make_model, model_type, attention):
    """On the same ids, positions, token types and mask."""
    slots = slots_of(model_type)
    dense, model = (make_model(model_type=model_type, attention=attention) for _ in range(2))
    decompose(model, lower_layers=0, question_slot=SLOT)
    where = segment_inputs(slots["input_ids"], (5, 9), segments_of(model.config))
    inputs = {name: slots[name] for name in ("input_ids", "attention_mask")}
    assert torch.equal(run(model, slots), run(dense, {**inputs, **where}))


def test_positions_restart_and_types_tell_the_segments_apart(make_model, slots):
    bert, roberta = (
        decompose(make_model(model_type=name), lower_layers=1, question_slot=SLOT) for name in ("bert", "roberta")
    )
    where = segment_inputs(slots["input_ids"], (5, 9), segments_of(bert.config))
    assert where["position_ids"][1].tolist() == [*range(5), *range(9)]
    assert where["token_type_ids"][0].tolist() == [0] * 5 + [1] * 9
    where = segment_inputs(slots["input_ids"], (5, 9), segments_of(roberta.config))
    assert where["position_ids"][1].tolist() == [*range(1, 6), *range(1, 10)]  # its padding token is 0
    assert set(where) == {"position_ids"}


@pytest.mark.parametrize("lower_layers", [0, 2, 3])
@pytest.mark.parametrize(("model_type", "attention"), KERNELS)
def test_kept_states_give_the_same_answers(make_model, model_type, lower_layers, attention):
    slots = slots_of(model_type)
    model = make_model(model_type=model_type, attention=attention)
    decompose(model, lower_layers=lower_layers, question_slot=SLOT)
    torch.testing.assert_close(cached(model, slots), run(model, slots), atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_kept_states_give_the_same_answers_of_a_pruned_model(make_model, slots, uneven_gates, model_type):
    model = decompose(shrink(make_model(model_type=model_type), uneven_gates), lower_layers=2, question_slot=SLOT)
    torch.testing.assert_close(cached(model, slots), run(model, slots), atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", ALL_ARCHITECTURES)
def test_pairs_are_classified_with_kept_states(make_model, model_type):
    slots = slots_of(model_type)
    model = make_model("SequenceClassification", model_type=model_type)
    decompose(model, lower_layers=2, question_slot=SLOT)
    torch.testing.assert_close(cached(model, slots), run(model, slots), atol=1e-5, rtol=0)


def test_one_document_serves_many_questions(make_model, slots):
    model = decompose(make_model(), lower_layers=2, question_slot=SLOT)
    states = states_of(model, slots)[:1, :7]  # without the first document's padding
    question = slots["input_ids"][:1, :5].repeat(3, 1)
    with torch.no_grad():
        many = answer(model, question, states)
    expected = run(model, {"input_ids": slots["input_ids"][:1, :12], "question_length": 5})
    torch.testing.assert_close(logits(many), expected.expand(3, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("model_type", "attention"), KERNELS)
def test_one_question_serves_many_documents(make_model, slots, model_type, attention):
    """It goes through the lower layers once; XLNet's stands at the end of its slot, where there is no padding now."""
    model = decompose(make_model(model_type=model_type, attention=attention), lower_layers=2, question_slot=SLOT)
    states, mask = states_of(model, slots), slots["attention_mask"].clone()
    mask[:, :5] = 1
    question = slots["input_ids"][:1, :5]
    with torch.no_grad():
        once = answer(model, question, states, attention_mask_BL=mask)
        twice = answer(model, question.repeat(2, 1), states, attention_mask_BL=mask)
    torch.testing.assert_close(logits(once), logits(twice), atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", ALL_ARCHITECTURES)
def test_a_choice_is_answered_as_it_is_alone(make_model, model_type):
    slots = slots_of(model_type)
    model = decompose(make_model("MultipleChoice", model_type=model_type), lower_layers=2, question_slot=SLOT)
    both = {name: slots[name][None] for name in ("input_ids", "attention_mask")}
    alone = [{name: slots[name][row][None, None] for name in ("input_ids", "attention_mask")} for row in range(2)]
    expected = torch.cat([run(model, {**inputs, "question_length": 5}) for inputs in alone], dim=-1)
    torch.testing.assert_close(run(model, {**both, "question_length": 5}), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", ["bert", "xlnet"])
def test_all_choices_of_one_example_are_answered_from_kept_states(make_model, model_type):
    """(1, C, Q) beside C documents: not one question that all of them are asked."""
    slots = slots_of(model_type)
    model = decompose(make_model("MultipleChoice", model_type=model_type), lower_layers=2, question_slot=SLOT)
    whole = {name: slots[name][None] for name in ("input_ids", "attention_mask")}
    expected = run(model, {**whole, "question_length": 5})
    with torch.no_grad():
        kept = answer(
            model, whole["input_ids"][..., :5], states_of(model, slots), attention_mask_BL=whole["attention_mask"]
        )
    torch.testing.assert_close(logits(kept), expected, atol=1e-5, rtol=0)


def test_the_question_changes_nothing_below(make_model, slots):
    """With all layers apart no answer in the document depends on it; with one layer joined every one does."""
    other = {**slots, "input_ids": slots["input_ids"].clone()}
    other["input_ids"][:, :3] += 1
    for lower_layers, depends in ((3, False), (2, True)):
        model = decompose(make_model(), lower_layers=lower_layers, question_slot=SLOT)
        with torch.no_grad():
            starts = [model(**inputs).start_logits[:, 5:] for inputs in (slots, other)]
        assert torch.equal(*starts) != depends


@pytest.mark.parametrize("task", ["SequenceClassification", "MultipleChoice"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_without_lower_layers_pairs_and_choices_are_the_dense_models_too(make_model, slots, model_type, task):
    """To the bit, from the state of [CLS]; XLNet's is at another place, see below."""
    dense, model = (make_model(task, model_type=model_type) for _ in range(2))
    decompose(model, lower_layers=0, question_slot=SLOT)
    where = segment_inputs(slots["input_ids"], (5, 9), segments_of(model.config))
    inputs = {name: slots[name] for name in ("input_ids", "attention_mask")}
    if task == "MultipleChoice":
        inputs = {name: value[None] for name, value in inputs.items()}
    assert torch.equal(run(model, {**inputs, "question_length": 5}), run(dense, {**inputs, **where}))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model_type", ALL_ARCHITECTURES)
def test_padding_has_no_say(make_model, model_type, task):
    """The same question and document in wider slots: each keeps its positions."""
    slots = slots_of(model_type)
    begin = 3 if ANATOMIES[model_type].ends_in_cls else 0
    model = decompose(make_model(task, model_type=model_type), lower_layers=2, question_slot=SLOT)
    wide_ids, wide_mask = (torch.zeros(2, 20, dtype=torch.long) for _ in range(2))
    for wide, narrow in ((wide_ids, slots["input_ids"]), (wide_mask, slots["attention_mask"])):
        wide[:, begin : begin + 5], wide[:, 8:17] = narrow[:, :5], narrow[:, 5:]
    alone = (lambda each: each[None]) if task == "MultipleChoice" else (lambda each: each)
    with torch.no_grad():
        wide = model(alone(wide_ids), alone(wide_mask), question_length=8)[0]
        narrow = model(alone(slots["input_ids"]), alone(slots["attention_mask"]), question_length=5)[0]
    if task == "QuestionAnswering":
        wide, narrow = wide[wide_mask.bool()], narrow[slots["attention_mask"].bool()]
    torch.testing.assert_close(wide, narrow, atol=1e-5, rtol=0)


def test_xlnets_document_is_of_another_type_and_its_cls_of_a_third(make_model):
    model = decompose(make_model(model_type="xlnet"), lower_layers=1, question_slot=SLOT)
    where = segment_inputs(slots_of("xlnet")["input_ids"], (5, 9), segments_of(model.config))
    assert set(where) == {"token_type_ids"}
    assert where["token_type_ids"][0].tolist() == [0] * 4 + [2] + [1] * 9


def test_xlnet_classifies_by_the_state_of_cls_which_ends_the_question(make_model):
    """To the bit what its own head says of that state."""
    slots = slots_of("xlnet")
    dense, model = (make_model("SequenceClassification", model_type="xlnet") for _ in range(2))
    decompose(model, lower_layers=0, question_slot=SLOT)
    where = segment_inputs(slots["input_ids"], (5, 9), segments_of(model.config))
    with torch.no_grad():
        states = dense.transformer(slots["input_ids"], slots["attention_mask"], **where).last_hidden_state
        expected = dense.logits_proj(dense.sequence_summary(states[:, :5]))
    assert torch.equal(run(model, slots), expected)


@pytest.mark.parametrize("training", [False, True])
def test_xlnet_keeps_no_memories(make_model, training):
    """Also where its configuration was made to keep some."""
    model = make_model(model_type="xlnet").train(training)
    model.config.use_mems_eval = model.config.use_mems_train = True
    assert model(slots_of("xlnet")["input_ids"]).mems is not None
    decompose(model, lower_layers=1, question_slot=SLOT)
    with torch.no_grad():
        assert model(**slots_of("xlnet")).mems is None


@pytest.mark.parametrize("task", TASKS)
def test_gradients_reach_every_layer(make_model, slots, task):
    model = decompose(make_model(task), lower_layers=2, question_slot=SLOT).train()
    if task == "MultipleChoice":
        slots = {name: value[None] if isinstance(value, torch.Tensor) else value for name, value in slots.items()}
    model(**slots)[0].sum().backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert without == []


@pytest.fixture(
    params=[*itertools.product(("bert", "distilbert", "electra", "roberta"), (False, True)), ("xlnet", False)]
)
def model(request, make_model, uneven_gates):
    model_type, uneven = request.param
    model = make_model(model_type=model_type)
    return decompose(shrink(model, uneven_gates) if uneven else model, lower_layers=2, question_slot=SLOT)


def test_the_folder_says_how_it_reads(model, slots, tokenizer, tmp_path):
    save_model(model, tokenizer, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert (layout_of(loaded.config), lower_layers_of(loaded.config)) == ("segmented", 2)
    assert torch.equal(run(loaded, slots), run(model, slots))
    assert stock_name(type(loaded).__name__) == stock_name(type(model).__name__)
    save_model(loaded, tokenizer, tmp_path / "again")
    assert torch.equal(run(load(tmp_path / "again"), slots), run(model, slots))


FOREIGN = """
import json, sys, torch
from transformers import AutoModelForQuestionAnswering
model = AutoModelForQuestionAnswering.from_pretrained(sys.argv[1], trust_remote_code=True).eval()
ids, mask = (torch.tensor(each) for each in json.loads(sys.argv[2]))
with torch.inference_mode():
    joined = model(ids, mask, question_length=5)
    states = model.encode(ids[:, 5:], mask[:, 5:])
    kept = model(ids[:, :5], mask, document_states=states)
assert not any(name == "secateur" or name.startswith("secateur.") for name in sys.modules)
print(json.dumps([torch.cat([each.start_logits, each.end_logits], dim=-1).tolist() for each in (joined, kept)]))
"""


@pytest.mark.parametrize("model_type", ["bert", "xlnet"])
def test_a_fresh_process_without_us_answers_the_same_and_keeps_states(make_model, tokenizer, tmp_path, model_type):
    slots = slots_of(model_type)
    model = decompose(make_model(model_type=model_type), lower_layers=2, question_slot=SLOT)
    save_model(model, tokenizer, tmp_path / "model")
    given = json.dumps([slots["input_ids"].tolist(), slots["attention_mask"].tolist()])
    foreign = subprocess.run(
        [sys.executable, "-c", FOREIGN, str(tmp_path / "model"), given],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    for found in json.loads(foreign.stdout.splitlines()[-1]):
        torch.testing.assert_close(torch.tensor(found), run(model, slots), atol=1e-5, rtol=0)


def test_packed_inputs_are_refused(make_model, batch):
    model = decompose(make_model(), lower_layers=2, question_slot=SLOT)
    with pytest.raises(
        ValueError, match=r"^this model reads question and document separately: [^\n]+ give question_length"
    ):
        model(**batch)


def test_the_models_own_layers_are_back_afterwards(make_model, slots, batch):
    model = decompose(make_model(), lower_layers=2, question_slot=SLOT)
    names = list(model.state_dict())
    run(model, slots)
    with pytest.raises(ValueError, match="question_length"):
        model(**batch)
    assert list(model.state_dict()) == names
    assert not hasattr(transformers, type(model).__name__)


def test_surgery_and_fewer_layers_keep_it_decomposed(make_model, slots, uneven_gates):
    model = shrink(decompose(make_model(), lower_layers=2, question_slot=SLOT), uneven_gates)
    assert lower_layers_of(model.config) == 2
    keep_layers(model, [0, 2])
    assert (lower_layers_of(model.config), len(structure_sizes(model)[0])) == (1, 2)
    torch.testing.assert_close(cached(model, slots), run(model, slots), atol=1e-5, rtol=0)


@pytest.mark.parametrize("lower_layers", [-1, 4])
def test_refuses_layers_that_there_are_not(make_model, lower_layers):
    with pytest.raises(SecateurError, match=rf"^lower_layers={lower_layers}: the model has 3 layers; give 0 to 3$"):
        decompose(make_model(), lower_layers=lower_layers, question_slot=SLOT)


def test_refuses_an_empty_document_and_a_packed_model(make_model):
    model = make_model()
    with pytest.raises(
        SecateurError, match=r"^a BertForQuestionAnswering reads [a-z ]+ packed; call decompose\(\) first$"
    ):
        encode(model, torch.ones(1, 3, dtype=torch.long))
    decompose(model, lower_layers=2, question_slot=SLOT)
    with pytest.raises(SecateurError, match=r"^a document without tokens cannot be encoded; [^\n]+$"):
        encode(model, torch.ones(1, 0, dtype=torch.long))
