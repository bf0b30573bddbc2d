"""One Attention-NonLinear module, and how large it is.

Eqs. (8) and (9) of "Transferring pretrained diffusion probabilistic models": f(softmax(Q K^T /
sqrt(d_k)) V) with Q = W_Q h, K = W_K c and V = W_V c; f is a linear layer, an activation and a
linear layer that starts at zero.

Shapes: B pictures, C channels of H x W cells, N tokens of P numbers, d_k the attention's width.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

HEADS = (8, 4, 2, 1)
"""As many heads as divide the width; Stable Diffusion has 8."""


@dataclass(frozen=True, slots=True)
class AnlShape:
    """How large the modules are.

    Args:
        condition_width: P of the CLIP that conditions them; 0 for self-attention.
        rank: inner width of f; 0 for the channels of the block, as in the paper.
        width: d_k of the attention; 0 for the channels of the block.
    """

    condition_width: int = 0
    rank: int = 0
    width: int = 0


class AnlBlock(nn.Module):
    """The module behind one residual block."""

    def __init__(self, channels: int, shape: AnlShape) -> None:
        super().__init__()
        width, inner = shape.width or channels, shape.rank or channels
        heard = shape.condition_width or channels
        self.num_heads = next(count for count in HEADS if width % count == 0)
        self.to_q = nn.Linear(channels, width, bias=False)
        self.to_k = nn.Linear(heard, width, bias=False)
        self.to_v = nn.Linear(heard, width, bias=False)
        last = nn.Linear(inner, channels)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mapping = nn.Sequential(nn.Linear(width, inner), nn.SiLU(), last)

    def forward(self, hidden: Tensor, tokens: Tensor | None) -> Tensor:
        """What is added to ``hidden``, (B, C, H, W), having heard ``tokens``, (B, N, P).

        The cells are normalised first, as they are for the base's own attention.
        """
        cells = hidden.float().flatten(2).transpose(1, 2)
        cells = functional.layer_norm(cells, cells.shape[-1:])
        heard = cells if tokens is None else tokens
        query, key, value = (
            layer(source).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer, source in ((self.to_q, cells), (self.to_k, heard), (self.to_v, heard))
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        change = self.mapping(attended.transpose(1, 2).flatten(2))
        return change.transpose(1, 2).reshape(hidden.shape).to(hidden.dtype)
