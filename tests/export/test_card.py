"""The card in a model folder agrees with the record."""

from __future__ import annotations

from secateur.export.card import model_card
from secateur.record import Cost, Latency, LatencyPair, ModelFigures, OnnxExport, Percentiles, Record, Structure


def test_gives_both_models_figures_and_the_speed() -> None:
    pair = LatencyPair(
        batch_size=32,
        length=384,
        dtype="float32",
        reference=Percentiles(p50=200.0, p90=210.0),
        compressed=Percentiles(p50=100.0, p90=101.0),
        repeats=5,
    )
    in_onnx = pair.model_copy(update={"runtime": "onnxruntime", "compressed": Percentiles(p50=50.0, p90=51.0)})
    record = Record(
        status="finished",
        name="gain-x",
        method="gain",
        model="minilm",
        dataset="squad_v1",
        distillation="none",
        sparsity=0.5,
        seed=1,
        predecessor_seed=1,
        metric="f1",
        config={},
        fingerprint="f",
        reference=ModelFigures(folder="d", scores={"f1": 80.0}, cost=Cost(parameters=2000, encoder_parameters=1000)),
        compressed=ModelFigures(
            folder="model",
            scores={"f1": 76.0},
            cost=Cost(parameters=1500, encoder_parameters=500),
            structure=Structure(removed=0.5, zeroed=0.25, zeroed_total=0.125),
        ),
        latency=Latency(device="cpu", threads=2, beside_others=False, pairs=[pair, in_onnx]),
        onnx=OnnxExport(folder="onnx", disk_bytes=6_000_000, largest_difference=3e-7),
    )
    card = model_card(record)
    assert "| zeros in the encoder's matrices | 0.0 % | 25.0 % |" in card
    assert "| zeros of all parameters | 0.0 % | 12.5 % |" in card
    for line in ("| f1 | 80.00 | 76.00 |", "| f1 kept | 100 % | 95.0 % |", "| parameters | 2,000 | 1,500 |"):
        assert line in card
    assert "float32, 32 × 384 tokens: 2.00 times as fast (100.0 ms instead of 200.0 ms)" in card
    assert "ONNX Runtime, float32, 32 × 384 tokens: 4.00 times as fast (50.0 ms instead of 200.0 ms)" in card
    assert "`onnx` is the same as ONNX: 6.0 MB, outputs within 3e-07." in card
