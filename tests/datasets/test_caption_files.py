"""Captions beside pictures and inside them, as people have them."""

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from dyod_studio.datasets.caption_files import MAX_CAPTION_LENGTH, decoded, embedded_caption
from dyod_studio.datasets.importing import PreparedPicture, import_pictures

CASES = Path(__file__).parents[2].parent / "shared" / "cases" / "names" / "captions"
XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:description><rdf:Alt><rdf:li
xml:lang="x-default">a red shoe</rdf:li></rdf:Alt></dc:description></rdf:Description></rdf:RDF>
</x:xmpmeta><?xpacket end="w"?>"""


def picture(path: Path, colour: int, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.radial_gradient("L").convert("RGB").rotate(7 * colour)
    Image.blend(image, Image.new("RGB", image.size, (colour % 256, 90, 200)), 0.4).save(
        path, **options
    )
    return path


def imported(paths, tmp_path):
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    found = list(import_pictures(paths, work_dir))
    captions = {p.name: p.caption for p in found if isinstance(p, PreparedPicture)}
    return captions, {p.file: p.reason for p in found if not isinstance(p, PreparedPicture)}


def test_texts_and_tables_beside_pictures_are_their_captions(tmp_path):
    folder = tmp_path / "set"
    for number, name in enumerate(("a", "b", "c", "d", "deep/e", "f")):
        picture(folder / f"{name}.png", 20 * number)
    (folder / "a.txt").write_text("a red\n shoe\n")
    (folder / "a.caption").write_text("never seen")
    (folder / "b.caption").write_text("ein grüner Stiefel", encoding="cp1252")
    (folder / "c.txt").write_text("", encoding="utf-8")
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "a.png", "text": "from the table"}\n\n'
        '{"file_name": "d.png", "text": "une botte"}\n'
        '{"file_name": "deep/e.png", "caption": "a sandal"}\nnonsense\n'
    )
    (folder / "alone.txt").write_text("nobody's")
    captions, refused = imported([folder], tmp_path)
    assert captions == {
        "set/a.png": "a red shoe", "set/b.png": "ein grüner Stiefel", "set/c.png": "",
        "set/d.png": "une botte", "set/deep/e.png": "a sandal", "set/f.png": "",
    }  # fmt: skip
    assert set(refused) == {"set/alone.txt", "set/metadata.jsonl"}
    assert refused["set/alone.txt"].startswith("is not an image")
    assert refused["set/metadata.jsonl"].startswith("row 5 names no picture")


def test_loose_files_find_their_captions_as_a_browser_hands_them_over(tmp_path):
    paths = [picture(tmp_path / "1" / "boot.png", 3), picture(tmp_path / "2" / "hat.png", 90)]
    text = tmp_path / "3" / "boot.txt"
    text.parent.mkdir()
    text.write_text("a boot", encoding="utf-16")
    table = tmp_path / "4" / "metadata.csv"
    table.parent.mkdir()
    table.write_text('file_name,text\nhat.png,"a hat, felt"\n')
    captions, refused = imported([*paths, text, table], tmp_path)
    assert captions == {"boot.png": "a boot", "hat.png": "a hat, felt"}
    assert refused == {}


def test_captions_come_out_of_an_archive(tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number, name in enumerate(("in/a.png", "in/b.png")):
            archive.write(picture(tmp_path / f"{number}.png", 50 * number), name)
        archive.writestr("in/a.txt", "a caption")
        archive.writestr("in/metadata.jsonl", '{"file_name": "b.png", "text": "another"}')
    (tmp_path / "set.zip").write_bytes(data.getvalue())
    captions, refused = imported([tmp_path / "set.zip"], tmp_path)
    assert captions == {"set.zip/in/a.png": "a caption", "set.zip/in/b.png": "another"}
    assert refused == {}


def test_a_long_caption_is_cut_and_that_is_said(tmp_path):
    picture(tmp_path / "set" / "a.png", 1)
    (tmp_path / "set" / "a.txt").write_text("word " * 300)
    captions, refused = imported([tmp_path / "set"], tmp_path)
    assert len(captions["set/a.png"]) <= MAX_CAPTION_LENGTH
    assert refused == {"set/a.txt": "says 1,499 characters; the first 500 are used"}


def test_a_file_that_only_looks_like_a_text_is_said_to_be_too_large(tmp_path):
    picture(tmp_path / "set" / "a.png", 1)
    (tmp_path / "set" / "a.txt").write_bytes(b"x" * 100_000)
    captions, refused = imported([tmp_path / "set"], tmp_path)
    assert captions == {"set/a.png": ""}
    assert "65,536 bytes" in refused["set/a.txt"]


def test_what_an_editor_wrote_into_the_picture_is_read(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a blue shoe"
    with Image.open(picture(tmp_path / "exif.jpg", 1, exif=exif)) as image:
        assert embedded_caption(image) == "a blue shoe"
    with Image.open(picture(tmp_path / "xmp.webp", 1, xmp=XMP.encode(), exif=exif)) as image:
        assert embedded_caption(image) == "a red shoe"
    captions, _ = imported([tmp_path / "exif.jpg"], tmp_path)
    assert captions == {"exif.jpg": "a blue shoe"}


def test_an_iptc_caption_is_read(tmp_path):
    record = b"\x1c\x02\x78" + len(b"a tall hat").to_bytes(2, "big") + b"a tall hat"
    resource = b"8BIM\x04\x04\x00\x00" + len(record).to_bytes(4, "big") + record
    path = picture(tmp_path / "plain.jpg", 1)
    body = b"Photoshop 3.0\x00" + resource
    segment = b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body
    data = path.read_bytes()
    path.write_bytes(data[:2] + segment + data[2:])
    with Image.open(path) as image:
        assert embedded_caption(image) == "a tall hat"


@pytest.mark.parametrize(
    "text", ["OLYMPUS DIGITAL CAMERA         ", "SONY DSC", "\0\0", "DCIM/100"]
)
def test_what_a_camera_writes_into_every_picture_is_no_caption(tmp_path, text):
    exif = Image.Exif()
    exif[0x010E] = text
    with Image.open(picture(tmp_path / "a.jpg", 1, exif=exif)) as image:
        assert embedded_caption(image) == ""


def test_texts_of_several_encodings_are_read():
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        assert decoded("grün".encode(encoding)) == "grün"


@pytest.mark.skipif(not CASES.is_dir(), reason="the collection of users' files is not here")
def test_a_folder_as_trainers_have_it_comes_in_with_its_captions(tmp_path):
    captions, refused = imported([CASES], tmp_path)
    assert captions == {
        f"captions/shoe_{number}.png": f"a shoe number {number}, red sole" for number in range(4)
    }
    assert set(refused) == {"captions/shoe_1.npz", "captions/shoe_2.json"}
