import pytest
import torch

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.rare_tokens import find_rare_tokens

VOWELS = set("aeiouy")


def test_a_rare_token_is_short_has_no_vowel_and_reads_back_as_itself(base):
    found = find_rare_tokens(base, "dog", 12)
    assert len(found) == 12
    assert len({token.text for token in found}) == 12
    for token in found:
        assert 1 <= len(token.text) <= 3
        assert token.text.isascii()
        assert token.text.isalnum()
        assert not VOWELS & set(token.text)
        assert any(letter.isalpha() for letter in token.text)
        ids = base.tokenizer(token.text, add_special_tokens=False).input_ids
        assert ids == [token.token_id]


def test_the_shift_is_how_far_the_token_moves_the_end_of_the_prompt(base):
    token = find_rare_tokens(base, "dog", 5)[2]

    def state(prompt):
        length = len(base.tokenizer(prompt).input_ids)
        return base.encode_prompts([prompt])[0, length - 1].double()

    one, other = state("a dog"), state(f"a {token.text} dog")
    expected = 1 - float(one @ other / (one.norm() * other.norm()))
    assert token.shift == pytest.approx(expected, abs=1e-5)
    assert 0 < token.shift < 2


def test_a_token_that_is_both_rarer_and_milder_comes_first(base):
    found = find_rare_tokens(base, "dog", 1000)
    for place, token in enumerate(found):
        for later in found[place + 1 :]:
            is_rarer = later.merge_rank > token.merge_rank
            assert not (is_rarer and later.shift < token.shift)


def test_the_order_depends_on_the_class_and_asking_changes_nothing(base):
    before = base.encode_prompts(["a dog"]).clone()
    dogs = find_rare_tokens(base, "dog", 8)
    assert dogs == find_rare_tokens(base, "  dog ", 8)
    shoes = find_rare_tokens(base, "red shoe", 8)
    assert {t.text: t.shift for t in dogs} != {t.text: t.shift for t in shoes}
    assert torch.equal(before, base.encode_prompts(["a dog"]))


def test_the_class_itself_is_never_its_own_name(base):
    best = find_rare_tokens(base, "dog", 1)[0].text
    assert best not in {token.text for token in find_rare_tokens(base, best, 1000)}


@pytest.mark.parametrize("noun", ["", "  "])
def test_an_empty_class_noun_is_refused(base, noun):
    with pytest.raises(InvalidInputError, match="class_noun must say what the pictures show"):
        find_rare_tokens(base, noun, 3)
