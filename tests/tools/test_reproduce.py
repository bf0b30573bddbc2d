"""The commands that reproduce the papers' tables: their sets, their verdicts, their sections."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from dyod_studio.evaluation.advice import advise
from dyod_studio.evaluation.compare import PairedDifference
from dyod_studio.evaluation.plan import EvaluationConfig
from dyod_studio.evaluation.results import Figure, PointResult
from dyod_studio.services.evaluation.views import EvaluationSettings, EvaluationView
from tests.ui.fake_evaluation import FakeEvaluation
from tools.reproduce import augmentation, figure5
from tools.reproduce.advisor import judged, tenths
from tools.reproduce.augmentation import put_in_folders, split_of
from tools.reproduce.classifying import accuracy_on_features, accuracy_on_pixels, pixels_of
from tools.reproduce.pages import markdown_table, write_plot, write_rows, write_section
from tools.reproduce.sets import apple_orange, category, classes_of_icons
from tools.reproduce.table1 import lowest, verdict
from tools.reproduce.table3 import trend


@pytest.fixture
def icons(tmp_path):
    folder = tmp_path / "icons"
    folder.mkdir()
    for name, colour in (("red-apple", "red"), ("tangerine", "orange")):
        icon = Image.new("RGBA", (72, 72))
        ImageDraw.Draw(icon).ellipse((2, 2, 70, 70), fill=colour)
        icon.save(folder / f"{name}.png")
    return folder


def point(role: str, value: float | None, **figures: Figure) -> PointResult:
    return PointResult(
        key="", name=role, role=role, value=value, settings={}, num=60, num_real=300, calls=9,
        seconds=1.0, figures={"CLIP of starter": figures},
    )  # fmt: skip


def view_of(points: list[PointResult]) -> EvaluationView:
    return EvaluationView(SimpleNamespace(), EvaluationConfig(), tuple(points), 4, (), None)


def test_each_picture_holds_one_apple_and_one_orange_apart_on_white(icons, tmp_path):
    folder = apple_orange(icons, tmp_path / "set", 12)
    pictures = [np.asarray(Image.open(path), dtype=int) for path in sorted(folder.iterdir())]
    assert len(pictures) == 12
    for pixels in pictures:
        red = (pixels[..., 0] > 200) & (pixels[..., 1] < 60)
        orange = (pixels[..., 0] > 200) & (abs(pixels[..., 1] - 165) < 20) & (pixels[..., 2] < 60)
        assert min(red.sum(), orange.sum()) > 300
        assert (pixels.min(axis=2) > 250).mean() > 0.5
    again = apple_orange(icons, tmp_path / "again", 12)
    assert (folder / "00007.png").read_bytes() == (again / "00007.png").read_bytes()
    (icons / "tangerine.png").unlink()
    with pytest.raises(SystemExit, match="no apple or no orange"):
        apple_orange(icons, tmp_path / "none", 1)


def test_the_verdict_on_table_1_asks_for_two_deviations_below_both_baselines():
    swept = [point("sweep", 0.4, kid=Figure(5, 1)), point("sweep", 0.6, kid=Figure(2, 1))]
    low = point("prompt", None, kid=Figure(9, 1))

    def told(vae: float, error: float):
        view = view_of([*swept, low, point("vae", None, kid=Figure(vae, 1))])
        apart = {"prompt": PairedDifference(7, error), "vae": PairedDifference(vae - 2, error)}
        return verdict(view, "CLIP of starter", apart)

    clear = told(8, 0.5)
    assert (clear["best_t0"], clear["is_below_both"]) == (0.6, True)
    assert clear["is_below_both_by_subsets"]
    assert clear["subset_deviations_below"]["prompt"] == pytest.approx(7 / 2**0.5)
    assert clear["standard_errors_below"]["vae"] == pytest.approx(12)
    paired = told(3, 0.4)
    assert (paired["is_below_both"], paired["is_below_both_by_subsets"]) == (True, False)
    assert not told(3, 0.6)["is_below_both"]


def test_the_advice_of_the_tenths_is_judged_by_the_twentieths_between_them():
    kid = {0.1: 6, 0.15: 5, 0.2: 3, 0.25: 2, 0.3: 2.2, 0.35: 3, 0.4: 5, 0.5: 9}
    swept = [point("sweep", t0, kid=Figure(mean, 0.1)) for t0, mean in kid.items()]
    view = view_of([*swept, point("vae", None, kid=Figure(9, 1))])
    assert [one.value for one in tenths(view)] == [0.1, 0.2, 0.3, 0.4, 0.5, None]
    found = judged(advise(tenths(view)), lowest(view, "CLIP of starter"))
    assert (found["advised"], found["best"], found["is_near"]) == (0.3, 0.25, True)
    far = judged(advise(tenths(view)), point("sweep", 0.6))
    assert (far["apart"], far["is_near"]) == (pytest.approx(0.3), False)


def coloured(folder, colours, num=12):
    """Classes of plain pictures: of each a folder, all a little different."""
    for name, (red, green) in colours.items():
        (folder / name).mkdir(parents=True)
        for number in range(num):
            colour = (red - 5 * number, green - 5 * number, 3 * number)
            Image.new("RGB", (48, 48), colour).save(folder / name / f"{number:02d}.png")
    return folder


def test_few_labels_are_drawn_by_chance_and_classifiers_learn_them(tmp_path):
    folder = coloured(tmp_path / "set", {"red": (250, 60), "green": (60, 250)})
    classes = classes_of_icons(folder, None)
    assert {name: len(paths) for name, paths in classes.items()} == {"green": 12, "red": 12}
    split, other = split_of(classes, 0), split_of(classes, 1)
    assert split == split_of(classes, 0) != other
    for name in classes:
        assert len(split.labelled[name]) == 4
        assert {*split.labelled[name], *split.asked[name]} == set(classes[name])
    data = put_in_folders(split.labelled, tmp_path / "labelled")
    assert len(list((data / "red").iterdir())) == 4

    def read(paths):
        return pixels_of([Image.open(path) for path in paths])

    train, test = (
        (torch.cat([read(of[name]) for name in of]), torch.tensor([0] * num + [1] * num))
        for of, num in ((split.labelled, 4), (split.asked, 8))
    )
    assert accuracy_on_pixels(train, test, 2, 0) == 1
    flat = tuple((rows.flatten(1), numbers) for rows, numbers in (train, test))
    assert accuracy_on_features(*flat, 2, 0) == 1
    with pytest.raises(SystemExit, match="Class 'red' has 3 pictures"):
        split_of({"red": classes["red"][:3]}, 0)


def test_the_gain_of_augmentation_is_told_pair_by_pair():
    found = {"line": [0.5, 0.7], "line + augmentation": [0.6, 0.8]}
    rows, facts = augmentation.told(found)
    assert rows == [
        ("line", "60.0 ± 10.0", "-"),
        ("line + augmentation", "70.0 ± 10.0", "+10.0 ± 0.0"),
    ]
    assert facts["line + augmentation"]["gain"] == pytest.approx(10)


def test_icons_are_sorted_into_classes_by_the_categories_of_their_pack(tmp_path):
    pack = tmp_path / "packs" / "toy"
    pack.mkdir(parents=True)
    icon = {"body": '<circle cx="8" cy="8" r="8" fill="red"/>'}
    names = [f"cat-{number}" for number in range(20)]
    told = {"icons": dict.fromkeys([*names, "pear"], icon), "width": 16, "height": 16}
    (pack / "icons.json").write_text(json.dumps(told))
    groups = {"categories": {"Animals": names, "Food": ["pear"]}}
    (pack / "metadata.json").write_text(json.dumps(groups))
    folder = category(tmp_path / "packs", "Animals", tmp_path / "set")
    category(tmp_path / "packs", "Food", folder)
    assert len(list(folder.iterdir())) == 21
    classes = classes_of_icons(folder, tmp_path / "packs")
    assert {name: len(paths) for name, paths in classes.items()} == {"animals": 20}
    with pytest.raises(SystemExit, match="no folders of classes"):
        classes_of_icons(folder, None)


def test_figure_5_says_where_the_learned_word_helps_and_whether_beyond_chance():
    kid = {figure5.WITH: Figure(3.0, 1.0), figure5.WITHOUT: Figure(5.0, 1.0)}
    found = {
        "0.4": figure5.told(kid, PairedDifference(2.0, 1.5)),
        "0.8": figure5.told(kid, PairedDifference(2.0, 0.5)),
    }
    assert "lower at every t0, as in the paper; by more than two standard errors at t0 0.8." in (
        figure5.says(found)
    )
    found["0.6"] = figure5.told(kid, PairedDifference(-1.0, 0.5))
    assert "lower at t0 0.4, 0.8 only" in figure5.says(found)


def test_the_trend_of_table_3_is_a_rank_correlation():
    points = tuple(
        point("sweep", rate, fid=Figure(10 + rate * 30), diversity=Figure(0.5 - rate / 4))
        for rate in (0.0, 0.2, 0.4, 0.6)
    )
    found = trend(points)
    assert found["fid"]["rank_correlation"] == pytest.approx(1)
    assert found["diversity"]["rank_correlation"] == pytest.approx(-1)


def test_a_section_is_written_once_and_written_again_in_its_place(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce", "table1", "--num", "8", "--set", "/a/b/toys"])
    out = tmp_path / "docs" / "reproduction"
    for title in ("First", "Second"):
        write_section(out, "table1", title, markdown_table(("a", "b"), [(1, 2)]), {"x": title})
        write_section(out, "table3", "Other", "text", {})
    text = (tmp_path / "docs" / "reproduction.md").read_text()
    assert text.count("<!-- table1 -->") == 1
    assert "## Second" in text
    assert "## First" not in text
    assert "`python -m tools.reproduce table1 --num 8 --set toys` on" in text
    assert "| 1 | 2 |" in text
    assert json.loads((out / "table1.json").read_text())["x"] == "Second"
    assert "## Second" in capsys.readouterr().out


def test_plots_and_strips_are_files_that_any_page_shows(tmp_path):
    fake = FakeEvaluation(tmp_path)
    fake.start(1, EvaluationSettings(num=20))
    fake.finish()
    view = fake.views[0]
    svg = write_plot(view, "kid", tmp_path / "plots" / "kid.svg").read_text()
    assert svg.startswith("<svg xmlns=")
    assert "<style>" in svg
    rows = [("t0 0.3", [Image.new("RGB", (9, 9), "red")] * 3), ("t0 0.6", [])]
    with Image.open(write_rows(rows, tmp_path / "strips.webp")) as sheet:
        assert sheet.size == (150 + 3 * 72, 2 * 72)
