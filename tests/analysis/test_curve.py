"""The picture of scores that a step evaluated along the way."""

from __future__ import annotations

from secateur.analysis.curve import draw_best_head, draw_curve

CURVE = [
    {"heads_removed": 0.5, "scores": {"em": 1.0, "f1": 60.0}},
    {"heads_removed": 0.0, "scores": {"em": 2.0, "f1": 80.0}},
    {"heads_removed": 1.0, "scores": {"em": 0.0, "f1": 10.0}},
]


def test_the_curve_has_the_metrics_scores_by_what_was_removed_and_marks_the_dense() -> None:
    figure = draw_curve(CURVE, metric="f1", dense=81.0, title="tiny on toy_qa: michel")
    (axes,) = figure.axes
    dense, curve = axes.lines
    assert list(zip(*curve.get_data(), strict=True)) == [(0.0, 80.0), (0.5, 60.0), (1.0, 10.0)]
    assert list(dense.get_ydata()) == [81.0, 81.0]
    assert dense.get_label() == "dense model: 81"
    assert (figure.get_suptitle(), axes.get_ylabel()) == ("tiny on toy_qa: michel", "f1")


def test_best_heads_are_bars_of_the_change_with_layers_down() -> None:
    alone = [{"layer": 0, "head": 3, "scores": {"f1": 79.5}}, {"layer": 1, "head": 0, "scores": {"f1": 80.25}}]
    figure = draw_best_head(alone, metric="f1", whole=80.0, title="tiny on toy_qa: michel")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [-0.5, 0.25]
    assert [text.get_text() for text in axes.texts] == ["-0.5", "+0.25"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["layer 0, head 3", "layer 1, head 0"]
    assert axes.yaxis_inverted()


def test_a_long_title_takes_several_lines_instead_of_being_cut() -> None:
    figure = draw_curve(CURVE, metric="f1", dense=81.0, title="a long name " * 12)
    figure.canvas.draw()  # type: ignore[attr-defined]
    box = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
    assert "\n" in figure.get_suptitle()
    assert box.x1 <= figure.bbox.x1
