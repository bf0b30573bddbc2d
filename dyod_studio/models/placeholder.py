"""A pseudo-word with k trained vectors, put beside a frozen vocabulary and taken away again.

The base model's token table is never resized or copied: a thin layer looks the k extra ids up in
a small table of their own. V base tokens, D embedding width.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, Attachment
from dyod_studio.models.base import BaseModel
from dyod_studio.models.lora_files import GENERATIONS


class ExtendedEmbedding(torch.nn.Module):
    """Token table in which the ids from V on are the rows of ``vectors``, (k, D) float32."""

    def __init__(self, table: "torch.nn.Embedding | ExtendedEmbedding", vectors: Tensor) -> None:
        super().__init__()
        self.table = table
        self.vectors = torch.nn.Parameter(vectors.detach().clone().float())

    @property
    def num_embeddings(self) -> int:
        """How many ids it knows."""
        return self.table.num_embeddings + len(self.vectors)

    @property
    def embedding_dim(self) -> int:
        return self.table.embedding_dim

    def forward(self, token_ids: Tensor) -> Tensor:
        num_base = self.table.num_embeddings
        is_extra = token_ids >= num_base
        base = self.table(token_ids.masked_fill(is_extra, 0))
        extra = torch.nn.functional.embedding((token_ids - num_base).clamp(min=0), self.vectors)
        return torch.where(is_extra.unsqueeze(-1), extra.to(base.dtype), base)


def placeholder_words(token: str, num_vectors: int) -> list[str]:
    """The k words that stand for ``token``, named as diffusers names them: tok, tok_1, ..."""
    return [token, *(f"{token}_{i}" for i in range(1, num_vectors))]


@contextmanager
def with_placeholder(base: BaseModel, token: str, vectors: Tensor) -> Iterator[BaseModel]:
    """The base model in which ``token`` means ``vectors``, (k, D), for as long as the block lasts.

    The networks are the base's own, not copies; ``vectors`` become the trainable parameter of
    :func:`trained_vectors`. Prompts may use the token as one word. Blocks within each other give a
    base several placeholders.

    Raises:
        InvalidInputError: the token is already a word of the vocabulary, or the vectors have
            another width than the text encoder's tokens.
    """
    table = base.text_encoder.get_input_embeddings()
    if vectors.ndim != 2 or vectors.shape[1] != table.embedding_dim:
        raise InvalidInputError(
            f"The inversion holds vectors of shape {tuple(vectors.shape)}; this base model's "
            f"tokens have width {table.embedding_dim}: use it with the base it was trained on."
        )
    tokenizer = deepcopy(base.tokenizer)
    words = placeholder_words(token, len(vectors))
    if not tokenizer.get_vocab().keys().isdisjoint(words):
        raise InvalidInputError(f"{token!r} is already a word of this base model: choose another.")
    tokenizer.add_tokens(words)
    extended = ExtendedEmbedding(table, vectors).to(base.device)
    base.text_encoder.set_input_embeddings(extended)
    try:
        yield replace(base, tokenizer=MultiTokenizer(tokenizer, token, words))
    finally:
        base.text_encoder.set_input_embeddings(table)


def attach_token(attachment: Attachment, parts: Sequence[Artifact]) -> None:
    """Put the tokens of ``parts`` beside the vocabulary."""
    for part in parts:
        token = str(part.config["token"])
        attachment.base = attachment.stack.enter_context(
            with_placeholder(attachment.base, token, part.tensors["emb_params"])
        )
        attachment.token = attachment.token or token


def trained_vectors(base: BaseModel) -> torch.nn.Parameter:
    """The (k, D) parameter of the placeholder that is attached to ``base``."""
    return base.text_encoder.get_input_embeddings().vectors


def inversion_header(width: int, token: str) -> dict[str, str]:
    """Header of a textual inversion that other tools look for: modelspec 1.0.1.

    A base that is neither Stable Diffusion 1.x nor 2.x is called by the width of its tokens.
    """
    _, architecture = GENERATIONS.get(width, ("", f"latent-diffusion-{width}"))
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{architecture}/textual-inversion",
        "modelspec.implementation": "diffusers",
        "modelspec.title": token,
        "modelspec.trigger_phrase": token,
    }


class MultiTokenizer:
    """A tokenizer that reads one placeholder word as its k words."""

    def __init__(self, tokenizer: Any, token: str, words: list[str]) -> None:
        self._tokenizer, self._token, self._words = tokenizer, token, " ".join(words)

    def __call__(self, prompts: str | list[str], **options: Any) -> Any:
        if isinstance(prompts, str):
            return self._tokenizer(self._expand(prompts), **options)
        return self._tokenizer([self._expand(prompt) for prompt in prompts], **options)

    @property
    def model_max_length(self) -> int:
        return self._tokenizer.model_max_length

    def get_vocab(self) -> dict[str, int]:
        return self._tokenizer.get_vocab()

    def add_tokens(self, words: list[str]) -> int:
        return self._tokenizer.add_tokens(words)

    def _expand(self, prompt: str) -> str:
        return prompt.replace(self._token, self._words)
