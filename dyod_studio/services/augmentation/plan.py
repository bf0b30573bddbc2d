"""Which pictures an augmentation makes after which, and with what settings; nothing is drawn here.

What a picture is depends on the settings, its class and its number alone: more pictures a class, or
more classes, leave those that are there as they are.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dyod_studio.datasets.archives import is_junk
from dyod_studio.datasets.images import HEAD_BYTES, image_suffix, read_image
from dyod_studio.datasets.sources import printable
from dyod_studio.errors import InvalidInputError, RejectedImageError
from dyod_studio.jobs.augmentation_plan import AugmentationTarget
from dyod_studio.requests.sampling import SampleRequest, condition_inputs
from dyod_studio.services.views import ProjectView
from dyod_studio.store.records import Artifact, Picture


@dataclass(frozen=True, slots=True)
class Source:
    """One picture of a class; ``name`` is what the user knows it by."""

    name: str
    path: Path
    sha256: str


Classes = Mapping[str, Sequence[Source]]
"""Pictures by class, both in alphabetical order."""


def classes_in(folder: Path) -> Classes:
    """The classes of a folder: one for each folder in it, with all pictures below.

    Raises:
        InvalidInputError: there is no such folder, or none in it, or one without a picture.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"There is no folder {str(folder)!r}.")
    entries = sorted(e for e in folder.iterdir() if e.is_dir() and not is_junk(e.name))
    found = {printable(entry.name): tuple(_sources(folder, entry)) for entry in entries}
    if not found:
        raise InvalidInputError(
            f"{str(folder)!r} holds no folders: put the pictures of each class into one of its own."
        )
    for name, sources in found.items():
        if not sources:
            raise InvalidInputError(
                f"The folder of class {name!r} holds no pictures: add some, or remove it."
            )
    return found


def classes_of(pictures: Iterable[tuple[Picture, Path]]) -> Classes:
    """The classes of a project's pictures: the last folder that each came from.

    Raises:
        InvalidInputError: a picture came from no folder.
    """
    found: dict[str, list[Source]] = {}
    for picture, path in pictures:
        parents = PurePosixPath(picture.name).parts[:-1]
        if not parents:
            raise InvalidInputError(
                f"The project's picture {picture.name!r} came from no folder, so it has no class: "
                "name a folder with --data whose folders are the classes."
            )
        found.setdefault(parents[-1], []).append(Source(picture.name, path, picture.sha256))
    if not found:
        raise InvalidInputError("The project has no pictures: add some, or name a folder.")
    return {name: tuple(sorted(found[name], key=lambda s: s.name)) for name in sorted(found)}


def unusable(sources: Iterable[Source]) -> Iterator[tuple[str, str]]:
    """(name, reason) of each picture that cannot be read."""
    for source in sources:
        try:
            read_image(source.path)
        except RejectedImageError as exc:
            yield source.name, str(exc)


def digest_of(sources: Sequence[Source]) -> str:
    """A hash that changes with any name or content."""
    recipe = "\n".join(f"{source.sha256} {source.name}" for source in sources)
    return hashlib.sha256(recipe.encode()).hexdigest()


def _sources(root: Path, folder: Path) -> Iterator[Source]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        relative = path.relative_to(root)
        if any(is_junk(part) for part in relative.parts):
            continue
        with path.open("rb") as file:
            if image_suffix(file.read(HEAD_BYTES)) is None:
                continue
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        yield Source(printable(relative.as_posix()), path, sha256)


MAX_PER_CLASS = 100_000
SEEDS = 2**53
"""Seeds of single pictures stay exact in every reader of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentSettings:
    """Settings of an augmentation.

    ``data`` is a folder whose folders are the classes; None takes the project's own pictures, by
    the folder that each came from. ``mask_rate`` is how freely a picture is read, in [0, 1): the
    side ratio of what is blanked in it. ``use`` names the parts to draw with, an anl among them.
    """

    per_class: int
    out: Path
    data: Path | None = None
    mask_rate: float = 0.5
    seed: int = 0
    use: tuple[str, ...] = ("anl",)
    strength: float = 1.0
    prompt: str | None = None
    num_inference_steps: int = 50
    guidance_scale: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.per_class <= MAX_PER_CLASS:
            raise InvalidInputError(
                f"per_class must lie in [1, {MAX_PER_CLASS}], got {self.per_class}."
            )
        SampleRequest(  # the checks of what is shared with single pictures
            kind="prompt",
            inputs=condition_inputs([Path()]),
            seed=self.seed,
            mask_rate=self.mask_rate,
            use=self.use,
            adapter_strength=self.strength,
            prompt=self.prompt,
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
        )


def plan_class(
    name: str, sources: Sequence[Source], settings: AugmentSettings
) -> list[tuple[AugmentationTarget, Source]]:
    """Each picture of a class and the one that it is drawn after, which take turns."""
    order = sorted(sources, key=lambda source: _number(settings.seed, name, source.sha256))
    plan = []
    for number in range(1, settings.per_class + 1):
        source = order[(number - 1) % len(order)]
        seed = _number(settings.seed, name, str(number)) % SEEDS
        plan.append((AugmentationTarget(f"{name}/{number:05d}.png", source.path, seed), source))
    return plan


def recipe_of(
    project: ProjectView, parts: Mapping[str, Artifact], settings: AugmentSettings
) -> dict[str, Any]:
    """All that decides a picture besides its class, as it stands in the folder."""
    return {
        "base": project.base,
        "parts": {kind: row.sha256 for kind, row in sorted(parts.items())},
        "mask_rate": settings.mask_rate,
        "seed": settings.seed,
        "strength": settings.strength,
        "prompt": settings.prompt,
        "num_inference_steps": settings.num_inference_steps,
        "guidance_scale": settings.guidance_scale,
    }


def check_same(begun: Mapping[str, Any], recipe: Mapping[str, Any], out: Path) -> None:
    """Refuse to go on with other settings than those that the folder was begun with."""
    for name, value in recipe.items():
        if begun.get(name) != value:
            then, now = begun.get(name), value
            if name == "parts":
                then, now = "other trained parts", "those of now"
            raise InvalidInputError(
                f"{str(out)!r} was begun with {name} {then}, not {now}: give the same again, or "
                "another folder."
            )


def look_through(
    classes: Classes, begun: Mapping[str, Any], out: Path
) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
    """(name, reason) of what cannot be read, and a hash of each class.

    What was looked through when the folder was begun is not read again.

    Raises:
        InvalidInputError: the pictures of a class are not those that the folder was begun with.
    """
    known = begun.get("classes", {})
    left_out = [(str(name), str(reason)) for name, reason in begun.get("left_out", [])]
    digests = dict(known)
    for name, sources in classes.items():
        if name in {".", ".."} or "/" in name or "\\" in name:
            raise InvalidInputError(f"A folder cannot be called {name!r}: rename the class.")
        digests[name] = digest_of(sources)
        if name not in known:
            left_out += unusable(sources)
        elif known[name] != digests[name]:
            raise InvalidInputError(
                f"The pictures of class {name!r} have changed since {str(out)!r} was begun: give "
                "another folder."
            )
    return tuple(left_out), digests


def check_apart(data: Path | None, out: Path) -> None:
    """New pictures inside the set would be taken for a class of it the next time."""
    if data is not None and out.resolve().is_relative_to(data.resolve()):
        raise InvalidInputError(
            f"{str(out)!r} lies in the set itself: give a folder outside {str(data)!r}."
        )


def _number(*recipe: object) -> int:
    """A number of 64 bits that looks random and is the same everywhere."""
    text = "\n".join(str(item) for item in recipe)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
