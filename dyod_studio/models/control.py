"""Networks that make the base model follow lines: a control net, or a lighter T2I-Adapter.

A control net is a trainable copy of the U-Net's way down and middle, whose outputs are added to the
skips through convolutions that begin at zero (arXiv:2302.05543, eq. 2). A T2I-Adapter reads the
lines once, and its features are added on the way down (arXiv:2302.08453, eq. 4). Either leaves the
U-Net as it is, so that it goes with whatever else was trained. B pictures of R x R pixels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from diffusers import ControlNetModel, T2IAdapter
from torch import Tensor, nn

from dyod_studio.errors import InvalidInputError
from dyod_studio.models.artifacts import Artifact, Attachment
from dyod_studio.models.base import BaseModel

NetworkKind = Literal["controlnet", "t2i-adapter"]
CLASSES: dict[NetworkKind, Any] = {"controlnet": ControlNetModel, "t2i-adapter": T2IAdapter}
HINT_CHANNELS = 3
EMBEDDING_WIDTHS = (16, 32, 96, 256)
"""Of the layers that read the lines, each half as large as the one before."""


@dataclass(frozen=True, slots=True)
class Control:
    """Lines that a picture follows.

    Args:
        lines: (1, 3, R, R) in [0, 1], white on black, or (B, 3, R, R).
        scale: share of what the network adds; 0 is the base model itself.
        until: share of the steps in which the lines count, the first ones.
    """

    lines: Tensor
    scale: float = 1.0
    until: float = 1.0

    def last_timestep(self, timesteps: Sequence[int]) -> int:
        """The lowest timestep in which the lines count; above all of them when none does."""
        number = round(self.until * len(timesteps))
        return timesteps[number - 1] if number else max(timesteps, default=0) + 1


def as_hint(lines: Sequence[Any]) -> Tensor:
    """Lines of B pictures, (R, R) each, as a network reads them: (B, 3, R, R)."""
    return torch.from_numpy(np.stack(lines))[:, None].expand(-1, 3, -1, -1).contiguous()


class ControlNetwork:
    """A control net or a T2I-Adapter, and what it adds to a call of the U-Net."""

    def __init__(self, kind: NetworkKind, network: Any) -> None:
        self.kind, self.network = kind, network

    @property
    def _channels(self) -> int:
        """How many equal channels the network reads lines in: 3, or 1."""
        config = self.network.config
        return config.conditioning_channels if self.kind == "controlnet" else config.in_channels

    @contextmanager
    def steering(self, unet: nn.Module, control: Control, last_timestep: int = 0) -> Iterator[None]:
        """The U-Net follows the lines for as long as the block lasts; nothing of it is copied.

        Args:
            last_timestep: the lowest timestep in which it does.
        """
        if not control.scale:
            yield
            return
        hook = self._hook(control, last_timestep)
        handle = unet.register_forward_pre_hook(hook, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def _hook(self, control: Control, last_timestep: int) -> Callable[..., Any]:
        lines = control.lines.to(self.network.device, self.network.dtype)[:, : self._channels]
        known: dict[int, list[Tensor]] = {}

        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            latents, timesteps = args
            if float(timesteps.max()) < last_timestep:
                return None
            each = lines.repeat(len(latents) // len(lines), 1, 1, 1)
            if self.kind == "controlnet":
                read = (latents, timesteps, kwargs["encoder_hidden_states"])
                return args, kwargs | self._residuals(*read, each, control.scale)
            if torch.is_grad_enabled() or len(each) not in known:
                known[len(each)] = [control.scale * part for part in self.network(each)]
            features = [part.to(latents.dtype) for part in known[len(each)]]
            return args, kwargs | {"down_intrablock_additional_residuals": features}

        return before

    def _residuals(
        self, latents: Tensor, timesteps: Tensor, conditioning: Tensor, lines: Tensor, scale: float
    ) -> dict[str, Any]:
        down, middle = self.network(
            latents.to(lines.dtype), timesteps, conditioning.to(lines.dtype), lines,
            conditioning_scale=scale, return_dict=False,
        )  # fmt: skip
        return {
            "down_block_additional_residuals": [part.to(latents.dtype) for part in down],
            "mid_block_additional_residual": middle.to(latents.dtype),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The weights under the names that diffusers gives them."""
        return dict(self.network.state_dict())

    def facts(self) -> dict[str, Any]:
        """All that builds the network again: ``config.json`` as diffusers writes it."""
        kept = {name: value for name, value in self.network.config.items() if name[0] != "_"}
        config = {"_class_name": type(self.network).__name__, **kept}
        return {"network": self.kind, "network_config": config}


def new_control(
    base: BaseModel, kind: NetworkKind, seed: int, channels: int = HINT_CHANNELS
) -> ControlNetwork:
    """A trainable network in float32 on the base model's device.

    A control net changes nothing yet.

    Args:
        channels: equal ones in which a T2I-Adapter reads the lines.

    Raises:
        InvalidInputError: the base model is of a shape that a T2I-Adapter cannot join.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _copy_of(base) if kind == "controlnet" else _adapter(base, channels)
    nn.Module.to(network, base.device, torch.float32)
    return ControlNetwork(kind, network.train().requires_grad_(True))


def _copy_of(base: BaseModel) -> ControlNetModel:
    """A copy whose outputs begin at zero, while the layers that read lines do not.

    With the authors' second zero, in front of the copy, nothing is learned of lines before both
    have left it.
    """
    levels = base.vae_scale_factor.bit_length()
    copy = ControlNetModel.from_unet(
        base.unet,
        conditioning_channels=HINT_CHANNELS,
        conditioning_embedding_out_channels=EMBEDDING_WIDTHS[:levels],
    )
    copy.controlnet_cond_embedding.conv_out.reset_parameters()
    return copy


def _adapter(base: BaseModel, channels: int) -> T2IAdapter:
    config = base.unet.config
    if "CrossAttn" not in config.down_block_types[0]:
        raise InvalidInputError(
            "A T2I-Adapter adds to blocks with attention, and this base model's first block has "
            "none: train a control net instead (network=controlnet)."
        )
    return T2IAdapter(
        in_channels=channels,
        channels=list(config.block_out_channels),
        num_res_blocks=2,
        downscale_factor=base.vae_scale_factor,
        adapter_type="full_adapter",
    )


def load_control(artifact: Artifact, base: BaseModel) -> ControlNetwork:
    """The network that an artifact of the kind ``control`` holds, frozen.

    Raises:
        InvalidInputError: it is the network of a base model of another shape.
    """
    config = dict(artifact.facts["network_config"])
    name = config.pop("_class_name")
    kind: NetworkKind = "controlnet" if name == ControlNetModel.__name__ else "t2i-adapter"
    network = CLASSES[kind].from_config(config)
    load_weights(network, artifact.tensors)
    nn.Module.to(network, base.device, base.dtype)
    return ControlNetwork(kind, network.eval().requires_grad_(False))


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy weights into a network.

    Raises:
        InvalidInputError: they belong to one of another shape.
    """
    own = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if own != {name: tensor.shape for name, tensor in tensors.items()}:
        raise InvalidInputError(
            "The control net's weights do not fit what it says of its shape: get it again."
        )
    network.load_state_dict(dict(tensors))


def attach_control(attachment: Attachment, parts: Sequence[Artifact]) -> None:
    """Have the part's network at hand for requests that bring lines."""
    (part,) = parts
    attachment.control = load_control(part, attachment.base)
