"""What is trained beside a frozen network: it changes what some layers give, for a while."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from dyod_studio.errors import InvalidInputError

Hook = Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]
"""(layer, its inputs, its output) -> the output that takes its place."""


@contextmanager
def changed_outputs(
    layers: Mapping[str, nn.Module], hook_of: Callable[[str, float], Hook], strength: float
) -> Iterator[None]:
    """Layers whose outputs are changed for as long as the block lasts; nothing is copied.

    Args:
        layers: by their path. hook_of: path and strength -> what is done at that layer.
        strength: share of the change, in [0, 1]; at 0 the layers are left alone.

    Raises:
        InvalidInputError: the strength is out of range.
    """
    check_strength(strength)
    handles = [
        layer.register_forward_hook(hook_of(path, strength))
        for path, layer in layers.items()
        if strength
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_strength(strength: float) -> None:
    """Refuse what is no share.

    Raises:
        InvalidInputError: the strength is out of range.
    """
    if not 0 <= strength <= 1:
        raise InvalidInputError(f"adapter strength must lie in [0, 1], got {strength}.")
