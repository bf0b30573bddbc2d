"""What exploring leaves: frames drawn in passing, names of traits, places worth coming back to."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from dyod_studio.errors import NotFoundError
from dyod_studio.store.tables import AUTOINCREMENT, Base, utc_now


class Frame(Base):
    """A picture of a strip, kept so that it need not be drawn again; the gallery lists it not."""

    __tablename__ = "frames"
    __table_args__ = (UniqueConstraint("project_id", "key"), AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    key: Mapped[str]
    """Hash of everything that decides the picture."""
    kind: Mapped[str]
    parameters: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(index=True)
    thumbnail_sha256: Mapped[str] = mapped_column(index=True)
    width: Mapped[int]
    height: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class TraitName(Base):
    """What a person calls one coordinate of one trained VAE."""

    __tablename__ = "trait_names"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    vae_sha256: Mapped[str] = mapped_column(primary_key=True)
    rank: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]


class Bookmark(Base):
    """A place among the codes of one trained VAE that a person wants to come back to."""

    __tablename__ = "places"
    __table_args__ = (UniqueConstraint("project_id", "name"), AUTOINCREMENT)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    vae_sha256: Mapped[str]
    settings: Mapped[dict[str, Any]]
    """Where it lies and how it is drawn: origin, values by rank, seed, t0, parts, ..."""
    sha256: Mapped[str] = mapped_column(index=True)
    thumbnail_sha256: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The stored files of one picture: the PNG and its thumbnail."""

    sha256: str
    thumbnail_sha256: str


class FrameRepository:
    """Reads and writes frames in the session it is given; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of_keys(self, project_id: int, keys: Collection[str]) -> dict[str, Frame]:
        """Those of the frames that are there, by their keys."""
        chosen = select(Frame).where(Frame.project_id == project_id, Frame.key.in_(keys))
        return {row.key: row for row in self._session.scalars(chosen)}

    def add(self, frame: Frame) -> None:
        """Keep a frame; one of the same key is there already at times, and stays."""
        if not self.of_keys(frame.project_id, [frame.key]):
            self._session.add(frame)
            self._session.flush()

    def drop_oldest(self, project_id: int, *, keep: int) -> list[StoredImage]:
        """Delete all frames but the newest ``keep``; returns what they were stored as."""
        chosen = select(Frame).where(Frame.project_id == project_id).order_by(Frame.id.desc())
        dropped = []
        for row in self._session.scalars(chosen.offset(keep)).all():
            dropped.append(StoredImage(row.sha256, row.thumbnail_sha256))
            self._session.delete(row)
        self._session.flush()
        return dropped


class BookmarkRepository:
    """Reads and writes places and names of traits; the caller commits."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, project_id: int) -> list[Bookmark]:
        """The newest first."""
        chosen = select(Bookmark).where(Bookmark.project_id == project_id)
        return list(self._session.scalars(chosen.order_by(Bookmark.id.desc())))

    def get(self, project_id: int, bookmark_id: int) -> Bookmark:
        row = self._session.get(Bookmark, bookmark_id)
        if row is None or row.project_id != project_id:
            raise NotFoundError(f"This project has no saved place {bookmark_id}.")
        return row

    def by_name(self, project_id: int, name: str) -> Bookmark | None:
        chosen = select(Bookmark).where(Bookmark.project_id == project_id, Bookmark.name == name)
        return self._session.scalars(chosen).one_or_none()

    def add(
        self,
        project_id: int,
        name: str,
        vae_sha256: str,
        settings: Mapping[str, Any],
        picture: StoredImage,
    ) -> Bookmark:
        row = Bookmark(
            project_id=project_id,
            name=name,
            vae_sha256=vae_sha256,
            settings=dict(settings),
            sha256=picture.sha256,
            thumbnail_sha256=picture.thumbnail_sha256,
        )
        self._session.add(row)
        self._session.flush()
        return row

    def delete(self, project_id: int, bookmark_id: int) -> StoredImage:
        """Delete a place; returns what its picture was stored as."""
        row = self.get(project_id, bookmark_id)
        self._session.delete(row)
        self._session.flush()
        return StoredImage(row.sha256, row.thumbnail_sha256)

    def trait_names(self, project_id: int, vae_sha256: str) -> dict[int, str]:
        """Rank -> name, of those that have one."""
        chosen = select(TraitName).where(
            TraitName.project_id == project_id, TraitName.vae_sha256 == vae_sha256
        )
        return {row.rank: row.name for row in self._session.scalars(chosen)}

    def name_trait(self, project_id: int, vae_sha256: str, rank: int, name: str) -> None:
        """Name a trait anew; an empty name takes the old one away."""
        self._session.execute(
            delete(TraitName).where(
                TraitName.project_id == project_id,
                TraitName.vae_sha256 == vae_sha256,
                TraitName.rank == rank,
            )
        )
        if name:
            self._session.add(
                TraitName(project_id=project_id, vae_sha256=vae_sha256, rank=rank, name=name)
            )
        self._session.flush()
