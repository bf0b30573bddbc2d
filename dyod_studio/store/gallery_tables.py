"""What the gallery is searched by, beside the columns of a generated image itself."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from dyod_studio.store.columns import Base


class GenerationPart(Base):
    """A trained part that an image was drawn with; the part itself may be gone."""

    __tablename__ = "generation_parts"
    __table_args__ = (Index("ix_generation_parts_sha256", "sha256", "generation_id"),)

    generation_id: Mapped[int] = mapped_column(
        ForeignKey("generations.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
