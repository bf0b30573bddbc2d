"""A set looked over, on a real database: repetitions, outliers, crops, rights."""

import pytest
from PIL import Image, ImageFilter

from dyod_studio.errors import InvalidInputError, NotFoundError
from dyod_studio.requests.cropping import CropMode
from dyod_studio.settings import ASSETS_DIR
from tests.datasets.pictures import save

FACES = sorted((ASSETS_DIR / "examples" / "faces").glob("*.png"))


def face(number: int) -> Image.Image:
    """A face on white, wider than high."""
    picture = Image.new("RGB", (240, 160), "white")
    with Image.open(FACES[7 * number]) as image:
        small = image.convert("RGBA").resize((140, 140))
    picture.paste(small, (50, 10), small)
    return picture


@pytest.fixture
def checked(studio, shoes, tmp_path):
    """Six faces, a smaller copy of the first, and one that is out of focus."""
    folder = tmp_path / "in"
    for number in range(1, 7):
        save(face(number), folder / f"{number}.png")
    save(face(1).resize((120, 80)), folder / "7 copy.png")
    save(face(8).filter(ImageFilter.GaussianBlur(9)), folder / "8 soft.png")
    report = studio.projects.add_pictures(shoes.id, [folder])
    assert (report.accepted, len(report.duplicates), report.rejected) == (7, 1, ())
    return studio.pictures.check(shoes.id)


def test_a_near_duplicate_is_put_aside_beside_its_original_and_can_be_kept(studio, shoes, checked):
    ((copy, original),) = checked.repeats
    assert (copy.name, original.name) == ("in/7 copy.png", "in/1.png")
    assert [copy.is_left_out, original.is_left_out] == [True, False]
    assert checked.num_pictures == studio.projects.get(shoes.id).num_pictures == 7
    studio.pictures.leave_out(shoes.id, copy.id, is_out=False)
    assert studio.projects.get(shoes.id).num_pictures == 8
    assert copy.id in [view.id for view in studio.projects.pictures(shoes.id)]


def test_what_is_blurred_stands_out_and_can_be_left_out(studio, shoes, checked):
    assert [picture.name for picture in checked.soft] == ["in/8 soft.png"]
    assert any("looks blurred" in line for line in checked.advice)
    studio.pictures.leave_out(shoes.id, checked.soft[0].id)
    now = studio.pictures.check(shoes.id)
    assert (now.num_pictures, now.soft) == (6, ())
    assert [picture.name for picture in now.left_out] == ["in/8 soft.png"]


def test_a_crop_is_kept_within_the_picture(studio, shoes, checked):
    picture = studio.projects.pictures(shoes.id)[0].id
    moved = studio.pictures.crop(shoes.id, picture, left=100, top=20, side=120)
    assert (moved.crop_left, moved.crop_top, moved.crop_side) == (100, 20, 120)
    around = studio.pictures.crop(shoes.id, picture, left=0, top=-30, side=240)
    assert (around.crop_top, around.crop_side, around.padding) == (-30, 240, "#ffffff")
    moved = studio.pictures.crop(shoes.id, picture, left=100, top=20, side=120)
    assert moved.padding == ""
    for bad in ({"side": 8}, {"side": 241}, {"left": -1}, {"left": 121}, {"top": 41}):
        with pytest.raises(InvalidInputError, match="square"):
            studio.pictures.crop(shoes.id, picture, **{"left": 0, "top": 0, "side": 120, **bad})
    assert studio.pictures.get(shoes.id, picture) == moved


def test_a_picture_on_a_plain_ground_is_learned_whole_and_all_can_be_cut(studio, shoes, checked):
    def crops():
        views = studio.projects.pictures(shoes.id)
        kept = [studio.pictures.get(shoes.id, view.id) for view in views]
        return {(view.crop_left, view.crop_top, view.crop_side) for view in kept}

    assert (checked.crop_mode, checked.num_not_square) == (CropMode.AUTO, 8)
    assert crops() == {(0, -40, 240)}
    studio.pictures.crop_all(shoes.id, CropMode.CONTENT)
    assert studio.pictures.check(shoes.id).crop_mode is CropMode.CONTENT
    assert {(top, side) for _, top, side in crops()} == {(0, 160)}
    assert all(30 <= left <= 50 for left, _, _ in crops())


def test_a_nearly_square_picture_is_cut_where_all_are(studio, shoes, tmp_path):
    save(Image.new("RGB", (1000, 999), "white"), tmp_path / "near.png")
    studio.projects.add_pictures(shoes.id, [tmp_path / "near.png"])
    (view,) = studio.projects.pictures(shoes.id)
    assert studio.pictures.get(shoes.id, view.id).crop_side == 1000
    studio.pictures.crop_all(shoes.id, CropMode.CONTENT)
    assert studio.pictures.get(shoes.id, view.id).crop_side == 999


def test_a_set_is_looked_over_though_a_thumbnail_is_gone(studio, shoes, checked):
    checked.soft[0].thumbnail.unlink()
    assert [picture.name for picture in studio.pictures.check(shoes.id).soft] == ["in/8 soft.png"]


def test_what_comes_later_is_cut_as_the_project_says(studio, shoes, tmp_path):
    studio.pictures.crop_all(shoes.id, CropMode.CONTENT)
    studio.projects.add_pictures(shoes.id, [save(face(9), tmp_path / "late.png")])
    (view,) = studio.projects.pictures(shoes.id)
    assert studio.pictures.get(shoes.id, view.id).crop_side == 160


def test_that_the_pictures_may_be_used_is_kept_and_can_be_taken_back(studio, shoes, checked):
    assert checked.may_be_used is False
    studio.pictures.confirm_rights(shoes.id)
    assert studio.pictures.check(shoes.id).may_be_used is True
    studio.pictures.confirm_rights(shoes.id, may_be_used=False)
    assert studio.pictures.check(shoes.id).may_be_used is False


def test_a_picture_of_another_project_cannot_be_touched(studio, shoes, checked):
    other = studio.projects.create("Other")
    picture = studio.projects.pictures(shoes.id)[0].id
    with pytest.raises(NotFoundError, match="'Other' has no picture"):
        studio.pictures.leave_out(other.id, picture)


def test_an_equal_file_is_not_kept_twice(studio, shoes, tmp_path):
    one = save(Image.new("RGB", (64, 64), "red"), tmp_path / "one.png")
    two = tmp_path / "two.png"
    two.write_bytes(one.read_bytes())
    report = studio.projects.add_pictures(shoes.id, [one, two])
    assert (report.accepted, len(report.duplicates)) == (1, 1)
    assert studio.pictures.check(shoes.id).repeats == ()
