"""What is trained, how big, and for which share of the time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tools.starter.clip import ClipSize
from tools.starter.loop import Schedule
from tools.starter.unet import UNetSize


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sizes and rates of one build."""

    size_px: int = 128
    autoencoder_widths: tuple[int, ...] = (16, 48, 96)
    """Before growing, which repeats the first."""
    clip: ClipSize = ClipSize()
    unet: UNetSize = UNetSize()
    num_pairs: int = 3000
    """Pictures of two things side by side."""
    stages: tuple[Schedule, ...] = (
        Schedule("autoencoder-small", 0.13, 1.2e-3, 16, flat_share=0.3),
        Schedule("autoencoder", 0.14, 8e-4, 16, flat_share=0.2),
        Schedule("decoder", 0.05, 6e-4, 16, flat_share=0.2),
        Schedule("clip", 0.05, 1.5e-3, 128, weight_decay=0.05, flat_share=0.1),
        Schedule("unet", 0.30, 8e-4, 64, ema_decay=0.999, flat_share=0.6),
        Schedule("joint", 0.30, 6e-4, 64, ema_decay=0.999, flat_share=0.5),
        Schedule("clip-image", 0.03, 1e-3, 128, weight_decay=0.05, flat_share=0.1),
    )
    """In order; ``budget_s`` is a share of the whole until ``planned`` makes it seconds."""

    def planned(
        self,
        budget_minutes: float,
        device_type: str,
        cores: int,
        stage_minutes: Mapping[str, float] | None = None,
    ) -> dict[str, Schedule]:
        """The schedules in seconds; large batches on a card, one copy a core elsewhere.

        The autoencoder's and the UNet's copies split the batch; CLIP needs its batch whole.

        Args:
            stage_minutes: budgets of single stages, over all sittings, in place of their shares.
        """
        own = stage_minutes or {}
        is_card = device_type == "cuda"
        planned = {}
        for stage in self.stages:
            splits = not stage.name.startswith("clip") and not is_card
            planned[stage.name] = replace(
                stage,
                budget_s=own.get(stage.name, stage.budget_s * budget_minutes) * 60,
                batch_size=stage.batch_size * (8 if is_card else 1),
                replicas=min(max(cores, 1), 2) if splits else 1,
            )
        return planned


TOY = Recipe(
    size_px=32,
    autoencoder_widths=(8, 8, 16),
    clip=ClipSize(width=32, text_layers=1, image_layers=1, heads=2, projection=16, patch=16),
    unet=UNetSize(widths=(8, 16, 16), heads=2, groups=8),
    num_pairs=8,
    stages=(
        Schedule("autoencoder-small", 0.2, 1e-3, 4, warmup_steps=5, log_every=2),
        Schedule("autoencoder", 0.2, 1e-3, 4, warmup_steps=5, log_every=2),
        Schedule("decoder", 0.1, 1e-3, 4, warmup_steps=5, log_every=2),
        Schedule("clip", 0.1, 1e-3, 8, warmup_steps=5, log_every=2),
        Schedule("unet", 0.2, 1e-3, 4, ema_decay=0.9, warmup_steps=5, log_every=2),
        Schedule("joint", 0.1, 1e-3, 4, ema_decay=0.9, warmup_steps=5, log_every=2),
        Schedule("clip-image", 0.1, 1e-3, 8, warmup_steps=5, log_every=2),
    ),
)
"""The same chain in seconds, for the tests."""
