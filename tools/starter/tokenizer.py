"""A small byte-level CLIP tokenizer, trained on the captions."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 40
"""Positions of the text encoder: the longest caption and several placeholder tokens fit."""
SUFFIX = "</w>"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_EVERYDAY = (
    "a photo of a rendering of the cropped dark bright good clean nice small large cool weird "
    "depiction style painting picture image sketch drawing icon cartoon on white background"
)
"""Words of the usual inversion templates, so that each becomes few tokens."""


def train_tokenizer(texts: Iterable[str], folder: Path, vocab_size: int = 4000) -> CLIPTokenizer:
    """Learn the merges from ``texts`` and write the files that CLIPTokenizer loads."""
    trained = Tokenizer(models.BPE(end_of_word_suffix=SUFFIX))
    trained.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, end_of_word_suffix=SUFFIX, show_progress=False
    )
    trained.train_from_iterator([*texts, *[_EVERYDAY] * 50], trainer)
    _write_files(json.loads(trained.to_str())["model"]["merges"], folder)
    return CLIPTokenizer.from_pretrained(folder)


def _write_files(merges: list[list[str]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *[letter + SUFFIX for letter in alphabet]]
    tokens += ["".join(pair) for pair in merges]
    vocab = {token: i for i, token in enumerate(dict.fromkeys([*tokens, START, END]))}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    lines = ["#version: 0.2", *[" ".join(pair) for pair in merges]]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": MAX_TOKENS,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
