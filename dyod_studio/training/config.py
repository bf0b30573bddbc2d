"""What every training method is told. The page and the command line draw their forms from it."""

from pydantic import BaseModel as PydanticModel
from pydantic import ConfigDict, Field


class MethodConfig(PydanticModel):
    """Settings all methods share; each adds its own and may choose other defaults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    steps: int = Field(500, ge=1, le=100_000, title="Steps")
    """Optimiser updates. More fits the set closer and takes longer, in proportion."""
    seed: int = Field(0, ge=0, lt=2**31, title="Seed")
    """Decides every random draw; the same seed and settings give the same result."""
    batch_size: int = Field(4, ge=1, le=256, title="Batch size")
    """Pictures an update looks at. More is steadier and takes more memory and time."""
    learning_rate: float = Field(1e-3, gt=0, le=1, title="Learning rate")
    """Size of one update. Halve it when the loss jumps, double it when nothing moves."""
    checkpoint_every: int = Field(200, ge=1, title="Checkpoint every")
    """Steps between saved states of the run."""
    preview_every: int = Field(100, ge=1, title="Preview every")
    """Steps between preview pictures; previews take time too."""


class PromptedConfig(MethodConfig):
    """Settings of a method that learns beside a prompt, which may say a word learned before."""

    word: str = Field("", pattern=r"^([0-9a-f]{64})?$", title="Learned word")
    """SHA-256 of the trained inversion whose word the prompt says; the studio looks it up."""
