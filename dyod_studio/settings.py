"""The one Settings object; nothing else reads the environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ASSETS_DIR = Path(__file__).parents[1] / "assets"
"""Folder of what the studio ships: the starter base model, example pictures, style sheet."""
STARTER_DIR = ASSETS_DIR / "starter"


class Settings(BaseSettings):
    """How this studio runs. Every field can be set as DYOD_<FIELD> or in a file ``.env``."""

    model_config = SettingsConfigDict(
        env_prefix="DYOD_", env_file=".env", extra="ignore", frozen=True
    )

    storage: Path = Path("storage")
    """Folder that holds everything a running studio writes."""
    database_url: str | None = None
    """Any SQLAlchemy URL; by default an SQLite file in ``storage``."""
    host: str = "127.0.0.1"
    """Address the page is served on; the default can be reached from this machine only."""
    port: int = 7860
    """Port of the page."""
    base: str = "starter"
    """Base model of new projects: ``starter``, a folder, a hub id or a .safetensors file."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where tensors are computed; ``auto`` takes a CUDA card that works, else the CPU."""
    cuda_visible_devices: str = Field(default="", validation_alias="CUDA_VISIBLE_DEVICES")
    """CUDA's own variable, read to tell the cards apart: one worker serves each."""
    memory_limit_mb: int | None = Field(default=None, ge=256)
    """Memory of the card that a process may take, so that a smaller card can be rehearsed."""

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.storage.resolve() / 'studio.db'}"
