"""The picture of score against what was removed shows the rows of the table."""

import pytest

from secateur.record import ModelFigures, Record, Structure
from secateur.report.rows import group
from secateur.report.sparsity import draw, figure_of_removal


def make_record(
    *, method="gain", removed=0.5, zeroed=0.0, seed=1, f1=72.0, dataset="squad", distillation="none", **config
):
    return Record(
        status="finished",
        name=f"{method}-{distillation}-{removed}-{zeroed}-{seed}",
        method=method,
        model="tiny",
        dataset=dataset,
        distillation=distillation,
        sparsity=removed or None,
        seed=seed,
        predecessor_seed=1,
        metric="f1",
        config=config,
        fingerprint="abc",
        reference=ModelFigures(folder="dense", scores={"f1": 80.0}),
        compressed=ModelFigures(folder="model", scores={"f1": f1}, structure=Structure(removed=removed, zeroed=zeroed)),
    )


def lines_of(axes):
    """The label, points and standard deviations of every line of a panel."""
    found = []
    for bars in axes.containers:
        line, _, (spread, *_) = (*bars.lines[:2], bars.lines[2] or (None,))
        points = list(zip(*line.get_data(), strict=True))
        stds = spread and [(top - bottom) / 2 for (_, bottom), (_, top) in spread.get_segments()]
        found.append((bars.get_label(), points, stds))
    return found


def test_a_method_is_one_line_by_what_was_removed_with_bars_over_seeds():
    scores = {0.7: (60.0, 64.0), 0.3: (76.0, 78.0)}
    records = [
        make_record(removed=removed, seed=seed, f1=f1)
        for removed, both in scores.items()
        for seed, f1 in enumerate(both, 1)
    ]
    (axes,) = figure_of_removal(group(records)).axes
    ((label, points, stds),) = lines_of(axes)
    assert label == "gain"
    assert points == [(0.3, 77.0), (0.7, 62.0)]
    assert stds == pytest.approx([2**0.5, 8**0.5])


def test_zeros_count_as_what_is_gone_so_that_all_methods_share_an_axis():
    records = [make_record(method="nip", removed=0.0, zeroed=0.8), make_record(removed=0.5, zeroed=0.1)]
    (axes,) = figure_of_removal(group(records)).axes
    assert {label: points for label, points, _ in lines_of(axes)} == {"nip": [(0.8, 72.0)], "gain": [(0.6, 72.0)]}


def test_distillation_and_method_make_lines_of_their_own():
    records = [make_record(method=m, distillation=d) for m in ("gain", "random") for d in ("none", "logits")]
    figure = figure_of_removal(group(records))
    (axes,) = figure.axes
    assert sorted(label for label, *_ in lines_of(axes)) == ["gain", "gain + logits", "random", "random + logits"]
    looks = {(bars.lines[0].get_color(), bars.lines[0].get_linestyle()) for bars in axes.containers}
    assert len(looks) == 4
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts][:2] == ["dense", "gain"]


def test_a_distillation_looks_the_same_in_every_panel():
    """There is one legend for all of them."""
    records = [make_record(dataset="a"), *(make_record(dataset=d, distillation="logits") for d in ("a", "b"))]
    figure = figure_of_removal(group(records))
    looks = {
        (bars.lines[0].get_linestyle(), bars.lines[0].get_markerfacecolor())
        for axes in figure.axes
        for bars in axes.containers
        if bars.get_label() == "gain + logits"
    }
    assert looks == {("--", "white")}


def test_look_alikes_with_other_settings_are_not_joined():
    """A line through two models of the same size and different settings would be a trend that nobody measured."""
    records = [make_record(f1=70.0, method_epochs=1), make_record(f1=71.0, method_epochs=2)]
    (axes,) = figure_of_removal(group(records)).axes
    assert sorted(points for _, points, _ in lines_of(axes)) == [[(0.5, 70.0)], [(0.5, 71.0)]]


def test_the_dense_score_is_a_level_and_the_control_a_point_at_nothing_removed():
    (axes,) = figure_of_removal(group([make_record(), make_record(method="control", removed=0.0, f1=79.0)])).axes
    (level,) = [line for line in axes.lines if line.get_label() == "dense"]
    assert list(level.get_ydata()) == [80.0, 80.0]
    assert ("control", [(0.0, 79.0)], None) in lines_of(axes)


def test_the_picture_has_a_panel_for_each_dataset(tmp_path):
    rows = group([make_record(dataset=name) for name in ("a", "$b_{")])
    assert [axes.get_title(loc="left") for axes in figure_of_removal(rows).axes] == ["tiny on $b_{", "tiny on a"]
    assert draw(rows, tmp_path / "sparsity.png")
    assert (tmp_path / "sparsity.png").read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["sparsity.png"]


def test_nothing_is_drawn_where_nothing_was_removed(tmp_path):
    assert not draw(group([make_record(method="control", removed=0.0)]), tmp_path / "sparsity.png")
    assert not list(tmp_path.iterdir())
