import pytest

from dyod_studio.datasets.captions import caption_of, caption_of_name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shoes/Red_boot-02.png", "red boot"),
        ("woman-artist.png", "woman artist"),
        ("RedApple (3).webp", "red apple"),
        ("photo of a dog.jpg", "photo of a dog"),
        ("folder\\Old House.TIF", "old house"),
        ("cafe.png", "cafe"),
        ("猫.png", "猫"),
        ("Кот 2.png", "кот"),
    ],
)
def test_a_file_name_that_says_what_is_seen_is_read_as_words(name, said):
    assert caption_of_name(name) == said


@pytest.mark.parametrize(
    "name",
    [
        "IMG_2034.JPG", "DSC_0012 copy.jpg", "P1000234.JPG", "00012.png", "1f600.png", "a.png",
        "U+1F600.svg", "Screenshot 2024-01-02 at 10.22.11.png", "1.2.3.png", "untitled-3.png",
        "WhatsApp Image 2024-01-02.jpg", "ab3f9c12.png", "", "....",
    ],
)  # fmt: skip
def test_what_cameras_and_programs_call_every_picture_says_nothing(name):
    assert caption_of_name(name) == ""


def test_what_a_person_wrote_goes_before_the_name():
    assert caption_of("Two eyes", "red-boot.png") == "Two eyes"
    assert caption_of(None, "red-boot.png") == "red boot"
    assert caption_of("", "IMG_1.png") == ""
