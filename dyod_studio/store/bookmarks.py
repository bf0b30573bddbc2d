"""Frames drawn in passing, names of traits, and bookmarks of latent points."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from dyod_studio.errors import NotFoundError
from dyod_studio.store.records import Bookmark, Frame, utc_now
from dyod_studio.store.tables import BookmarkRow, FrameRow, TraitName


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
        chosen = select(FrameRow).where(FrameRow.project_id == project_id, FrameRow.key.in_(keys))
        return {row.key: Frame.of(row) for row in self._session.scalars(chosen)}

    def add(self, frame: Frame) -> None:
        """Keep a frame; one of the same key is there already at times, and stays."""
        if not self.of_keys(frame.project_id, [frame.key]):
            self._session.add(FrameRow(**frame.columns()))
            self._session.flush()

    def drop_oldest(self, project_id: int, *, keep: int) -> list[StoredImage]:
        """Delete all frames but the newest ``keep``; returns what they were stored as."""
        chosen = (
            select(FrameRow).where(FrameRow.project_id == project_id).order_by(FrameRow.id.desc())
        )
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
        chosen = select(BookmarkRow).where(BookmarkRow.project_id == project_id)
        rows = self._session.scalars(chosen.order_by(BookmarkRow.id.desc()))
        return [Bookmark.of(row) for row in rows]

    def get(self, project_id: int, bookmark_id: int) -> Bookmark:
        return Bookmark.of(self._row(project_id, bookmark_id))

    def _row(self, project_id: int, bookmark_id: int) -> BookmarkRow:
        row = self._session.get(BookmarkRow, bookmark_id)
        if row is None or row.project_id != project_id:
            raise NotFoundError(f"This project has no saved place {bookmark_id}.")
        return row

    def by_name(self, project_id: int, name: str) -> Bookmark | None:
        chosen = select(BookmarkRow).where(
            BookmarkRow.project_id == project_id, BookmarkRow.name == name
        )
        row = self._session.scalars(chosen).one_or_none()
        return None if row is None else Bookmark.of(row)

    def add(
        self,
        project_id: int,
        name: str,
        vae_sha256: str,
        settings: Mapping[str, Any],
        picture: StoredImage,
        created_at: datetime | None = None,
    ) -> Bookmark:
        row = BookmarkRow(
            project_id=project_id,
            name=name,
            vae_sha256=vae_sha256,
            settings=dict(settings),
            sha256=picture.sha256,
            thumbnail_sha256=picture.thumbnail_sha256,
            created_at=created_at or utc_now(),
        )
        self._session.add(row)
        self._session.flush()
        return Bookmark.of(row)

    def delete(self, project_id: int, bookmark_id: int) -> StoredImage:
        """Delete a place; returns what its picture was stored as."""
        row = self._row(project_id, bookmark_id)
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
