"""The model card: the README of an exported model folder, with the record's figures."""

from __future__ import annotations

from secateur.record import ModelFigures, Record


def model_card(record: Record) -> str:
    """Markdown that describes the model's origin, scores, size and speed."""
    assert record.reference is not None
    assert record.compressed is not None
    asked = "" if record.sparsity is None else f" at sparsity {record.sparsity:g}"
    lines = [
        f"# {record.name}",
        "",
        f"`{record.model}` fine-tuned on `{record.dataset}` and compressed by `{record.method}`{asked}, "
        f"distillation `{record.distillation}`, seed {record.seed}.",
        "",
        "    import secateur",
        "    model = secateur.load(FOLDER)",
        "",
        "Without secateur, `AutoModel….from_pretrained(FOLDER, trust_remote_code=True)` runs the modelling file in",
        "this folder; where there is none, the shape is a stock one and the flag is not needed.",
        "",
        *_slots(record.compressed),
        "| | dense reference | this model |",
        "|---|---|---|",
        *(
            f"| {name} | {dense} | {ours} |"
            for name, dense, ours in _figures(record, record.reference, record.compressed)
        ),
        "",
        *_onnx(record),
        *_speed(record),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _figures(record: Record, dense: ModelFigures, ours: ModelFigures) -> list[tuple[str, str, str]]:
    rows = [(name, f"{value:.2f}", f"{ours.scores[name]:.2f}") for name, value in dense.scores.items()]
    if record.retention is not None:
        rows.append((f"{record.metric} kept", "100 %", f"{100 * record.retention:.1f} %"))
    if ours.structure.layers_decomposed:
        rows.append(
            (
                "layers that read question and document separately",
                "0 %",
                f"{100 * ours.structure.layers_decomposed:.0f} %",
            )
        )
    rows.append(("removed from the encoder", "0 %", f"{100 * ours.structure.removed:.1f} %"))
    if ours.structure.is_sparse:
        for name, place in (("zeroed", "in the encoder's matrices"), ("zeroed_total", "of all parameters")):
            before, after = (f"{100 * getattr(model.structure, name):.1f} %" for model in (dense, ours))
            rows.append((f"zeros {place}", before, after))
    if dense.cost and ours.cost:
        rows.append(("parameters", f"{dense.cost.parameters:,}", f"{ours.cost.parameters:,}"))
        for length, flops in dense.cost.flops.items():
            rows.append((f"GFLOPs at {length} tokens", f"{flops / 1e9:.2f}", f"{ours.cost.flops[length] / 1e9:.2f}"))
        for length, flops in ours.cost.cached_flops.items():
            dense_flops = f"{dense.cost.flops[length] / 1e9:.2f}"
            rows.append((f"GFLOPs at {length} tokens, document kept", dense_flops, f"{flops / 1e9:.2f}"))
    return rows


def _slots(ours: ModelFigures) -> list[str]:
    """How to call a model that reads question and document separately."""
    if not ours.structure.layers_decomposed:
        return []
    return [
        "It reads `[CLS] question [SEP]` and `document [SEP]`, each padded to a slot, the first of Q tokens; the",
        "states of a document can be reused for every question:",
        "",
        "    outputs = model(ids, mask, question_length=Q)",
        "    states = model.encode(document_ids, document_mask)",
        "    outputs = model(question_ids, mask, document_states=states)",
        "",
    ]


def _onnx(record: Record) -> list[str]:
    if record.onnx is None:
        return []
    size, difference = f"{record.onnx.disk_bytes / 1e6:.1f} MB", f"{record.onnx.largest_difference:.0e}"
    apart = record.compressed and record.compressed.structure.layers_decomposed
    what = "a document encoder and the answering model" if apart else "the same"
    return [f"Next to this folder, `{record.onnx.folder}` is {what} as ONNX: {size}, outputs within {difference}.", ""]


def _speed(record: Record) -> list[str]:
    if record.latency is None:
        return []
    lines = [f"Speed on {record.latency.device}, {record.latency.threads} threads, both models timed in turn:", ""]
    return lines + [
        f"* {'' if pair.runtime == 'pytorch' else 'ONNX Runtime, '}"
        f"{pair.dtype}, {pair.batch_size} × {pair.length} tokens: {pair.speedup:.2f} times as fast "
        f"({pair.served.p50:.1f} ms instead of {pair.reference.p50:.1f} ms)"
        f"{'' if pair.cached is None else f', with the document kept; {pair.compressed.p50:.1f} ms without'}"
        for pair in record.latency.pairs
    ]
