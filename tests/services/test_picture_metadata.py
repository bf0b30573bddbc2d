"""What a picture says of itself, written for three readers and read as from a stranger."""

import json
import re
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import MAX_TEXT_CHUNK, PngInfo

from dyod_studio.errors import InvalidInputError
from dyod_studio.jobs.images import encode_png
from dyod_studio.services.gallery.png_metadata import read_metadata, read_texts

PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""As A1111 reads a pair: a key of words, then a JSON string or all up to the next comma."""
SAID = {
    "kind": "image", "base": "/home/anna/models/sd15", "base_fingerprint": "0123456789abcdef",
    "artifacts": {"inversion": "a" * 64, "vae": "b" * 64}, "t0": 0.45, "seed": 2**62,
    "first_seed": 2**62 - 2, "position": 2, "num_inference_steps": 30, "guidance_scale": 2.5,
    "prompt": 'a "shoe", red: ÖL\nin the rain', "mask_rate": 0.3, "num_images": 4,
    "image_sha256": "c" * 64, "torch": "2.13.0", "diffusers": "0.35.1",
}  # fmt: skip
USUAL_LINE = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"


def read_as_a1111(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and settings, read as FORMATS of A1111's parameters say."""
    *lines, last = text.strip().split("\n")
    pairs = PAIR.findall(last)
    if len(pairs) < 3:
        lines, pairs = [*lines, last], []
    prompt, negative, is_negative = [], [], False
    for line in lines:
        if line.startswith("Negative prompt:"):
            is_negative, line = True, line.removeprefix("Negative prompt:").strip()
        (negative if is_negative else prompt).append(line)
    values = {key: json.loads(value) if value[:1] == '"' else value for key, value in pairs}
    return "\n".join(prompt), "\n".join(negative), values


@pytest.fixture
def write(tmp_path):
    """A PNG of these text chunks; bytes are packed as zTXt, or written raw where told so."""

    def write(texts, size=(8, 8), *, is_packed=False):
        chunks = PngInfo()
        for key, text in texts.items():
            chunks.add_text(key, text, zip=is_packed)
        Image.new("RGB", size).save(tmp_path / "p.png", pnginfo=chunks)
        return tmp_path / "p.png"

    return write


def test_an_a1111_style_parser_reads_the_parameters(tmp_path):
    (tmp_path / "p.png").write_bytes(encode_png(Image.new("RGB", (96, 64)), SAID))
    texts = read_texts(tmp_path / "p.png")
    prompt, negative, values = read_as_a1111(texts["parameters"])
    assert (prompt, negative) == (SAID["prompt"], "")
    assert values == {
        "Steps": "30", "Sampler": "DDIM", "CFG scale": "2.5", "Seed": str(2**62), "Size": "96x64",
        "Model hash": "0123456789abcdef", "Model": "sd15", "Denoising strength": "0.45",
        "DYOD kind": "image", "DYOD t0": "0.45", "DYOD mask": "0.3",
        "DYOD parts": "inversion aaaaaaaaaa; vae bbbbbbbbbb",
    }  # fmt: skip
    told = json.loads(texts["invokeai_metadata"])
    assert isinstance(told, dict)
    assert (told["positive_prompt"], told["seed"], told["steps"]) == (SAID["prompt"], 2**62, 30)
    assert (told["cfg_scale"], told["strength"], told["generation_mode"]) == (2.5, 0.45, "img2img")
    assert (told["width"], told["height"], told["model"]["name"]) == (96, 64, "sd15")


def test_own_metadata_keeps_every_value_but_the_folder_of_the_base(tmp_path):
    (tmp_path / "p.png").write_bytes(encode_png(Image.new("RGB", (8, 8)), SAID))
    said = read_metadata(tmp_path / "p.png")
    assert said.source == "dyod"
    assert said.values == {**SAID, "base": "sd15"}
    assert b"anna" not in (tmp_path / "p.png").read_bytes()


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("starter", "starter"), ("owner/model", "owner/model"), ("/m/sd15", "sd15"),
        ("C:\\Users\\anna\\sd15.safetensors", "sd15.safetensors"),
    ],
)  # fmt: skip
def test_a_base_is_named_without_its_folder(tmp_path, base, name):
    (tmp_path / "p.png").write_bytes(encode_png(Image.new("RGB", (8, 8)), {**SAID, "base": base}))
    assert read_metadata(tmp_path / "p.png").values["base"] == name


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_parameters_of_a1111_are_read_as_far_as_they_map(write, is_packed):
    text = f'a cat,\nin Köln 猫\nNegative prompt: dog\n{USUAL_LINE}, Model: "a, b: c", X: 1'
    said = read_metadata(write({"parameters": text}, is_packed=is_packed))
    assert said.source == "a1111"
    assert said.values == {
        "prompt": "a cat,\nin Köln 猫", "seed": 1, "num_inference_steps": 20, "guidance_scale": 7,
        "sampler": "euler-a",
    }  # fmt: skip
    assert said.unused == ("negative prompt", "model")


def test_the_metadata_of_invokeai_come_before_those_of_a1111(write):
    told = {"positive_prompt": "a cat", "seed": 5, "steps": 12, "cfg_scale": 6.5, "loras": [{}]}
    said = read_metadata(write({"parameters": USUAL_LINE, "invokeai_metadata": json.dumps(told)}))
    assert (said.source, said.unused) == ("invokeai", ("LoRAs",))
    assert said.values == {
        "prompt": "a cat", "seed": 5, "num_inference_steps": 12, "guidance_scale": 6.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "says nothing of how it was made"),
        ({"Comment": "hello"}, "says nothing of how it was made"),
        ({"parameters": "just a cat"}, "no line of settings"),
        ({"parameters": ""}, "no line of settings"),
        ({"dyod_metadata": "{'schema': 1}"}, "is no JSON"),
        ({"dyod_metadata": "[" * 900_000}, "is no JSON"),
        ({"dyod_metadata": '{"schema": 1, "t0": NaN}'}, "is no JSON"),
        ({"dyod_metadata": '{"schema": ' + "9" * 5000 + "}"}, "is no JSON"),
        ({"dyod_metadata": "[1]"}, "is no JSON object"),
        ({"dyod_metadata": '{"schema": 2}'}, r"made by another release \(metadata 2\)"),
        ({"invokeai_metadata": "{}"}, "nothing that this studio has a use for"),
        ({"invokeai_metadata": "__import__('os')"}, "is no JSON"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(write, texts, message):
    with pytest.raises(InvalidInputError, match=message):
        read_metadata(write(texts))


def test_a_text_that_unpacks_to_gigabytes_is_left_packed(write, tmp_path):
    bomb = b"dyod_metadata\0\0" + zlib.compress(b"[" * (MAX_TEXT_CHUNK + 1))
    png = write({}).read_bytes()
    chunk = len(bomb).to_bytes(4, "big") + b"zTXt" + bomb
    chunk += zlib.crc32(b"zTXt" + bomb).to_bytes(4, "big")
    (tmp_path / "bomb.png").write_bytes(png[:33] + chunk + png[33:])
    with pytest.raises(InvalidInputError, match="its texts are too large"):
        read_metadata(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is damaged, or no PNG picture"),
        (b"GIF89a", "is damaged, or no PNG picture"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is damaged"),
        (b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXtx", "too large"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x09tEXtx", "is damaged"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x05zTXta\0\0xx....", "is damaged"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x06iTXta\0\0\0\0\0....", "is damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0teSt...." * 20_000, "is damaged"),
    ],
)
def test_a_file_that_is_no_whole_png_is_one_sentence(tmp_path, data, message):
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(InvalidInputError, match=message):
        read_metadata(tmp_path / "x.png")
    with pytest.raises(InvalidInputError, match="There is no picture"):
        read_metadata(tmp_path / "gone.png")
