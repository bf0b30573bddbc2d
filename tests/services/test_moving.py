"""Frames as a GIF, a video and a strip of sprites: each is read back by a reader of its own."""

import json

import av
import pytest
from PIL import Image

from dyod_studio.errors import InvalidInputError
from dyod_studio.services.explore.animation import (
    WRITERS,
    there_and_back,
    write_gif,
    write_mp4,
    write_sprite,
)

COLOURS = [(220, 40, 40), (130, 90, 90), (40, 140, 200)]


@pytest.fixture
def frames(tmp_path):
    paths = []
    for index, colour in enumerate(COLOURS):
        paths.append(tmp_path / f"{index}.png")
        Image.new("RGB", (65, 64), colour).save(paths[-1])
    return paths


def near(pixel, colour, by):
    return all(abs(got - wanted) <= by for got, wanted in zip(pixel, colour, strict=True))


def test_a_gif_holds_every_frame_in_its_order_and_never_ends(frames, tmp_path):
    write_gif(frames, tmp_path / "way.gif", fps=10)
    with Image.open(tmp_path / "way.gif") as gif:
        assert (gif.n_frames, gif.info["loop"], gif.info["duration"], gif.size) == (
            3, 0, 100, (65, 64),
        )  # fmt: skip
        for index, colour in enumerate(COLOURS):
            gif.seek(index)
            assert near(gif.convert("RGB").getpixel((30, 30)), colour, by=8)


def test_a_video_of_odd_pictures_has_even_sides_and_every_frame(frames, tmp_path):
    write_mp4(frames, tmp_path / "way.mp4", fps=10)
    with av.open(str(tmp_path / "way.mp4")) as video:
        stream = video.streams.video[0]
        decoded = [frame.to_image() for frame in video.decode(stream)]
        assert (stream.codec_context.name, float(stream.average_rate)) == ("h264", 10)
    assert [image.size for image in decoded] == [(512, 504)] * 3
    for image, colour in zip(decoded, COLOURS, strict=True):
        assert near(image.getpixel((250, 250)), colour, by=12)


def test_sprites_stand_where_the_json_says(frames, tmp_path, monkeypatch):
    monkeypatch.setattr("dyod_studio.services.explore.animation.SPRITE_WIDTH_PX", 130)
    write_sprite(frames, tmp_path / "way.png", fps=8)
    facts = json.loads((tmp_path / "way.json").read_text())
    assert (facts["image"], facts["columns"], facts["fps"]) == ("way.png", 2, 8)
    assert [frame["at"] for frame in facts["frames"]] == [0, 0.5, 1]
    with Image.open(tmp_path / "way.png") as sheet:
        assert sheet.size == (130, 128)
        for frame, colour in zip(facts["frames"], COLOURS, strict=True):
            assert sheet.getpixel((frame["x"] + 5, frame["y"] + 5)) == colour


def test_the_way_back_repeats_neither_end():
    assert there_and_back(["a", "b", "c"]) == ["a", "b", "c", "b"]
    assert there_and_back(["a", "b"]) == ["a", "b"]
    assert there_and_back(["a"]) == ["a"]


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_what_cannot_be_written_leaves_no_file(form, frames, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(InvalidInputError, match=f"{form} needs a file named"):
        WRITERS[form](frames, folder / "way.avi")
    with pytest.raises(InvalidInputError, match="There is no frame yet"):
        WRITERS[form]([], folder / "way.gif")
    with pytest.raises(InvalidInputError, match=r"fps must lie in \(0, 60\], got 0"):
        WRITERS[form](frames, folder / "way.gif", fps=0)
    assert list(folder.iterdir()) == []
