"""Pictures as the sampler leaves them, without a sampler: rows, files, inputs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from dyod_studio.jobs.images import store_image
from dyod_studio.requests.sampling import KINDS, read_request
from dyod_studio.store.records import Generation, JobState
from dyod_studio.store.requests import GenerationRepository, InputFile, SampleRequestRepository
from dyod_studio.store.storage import Storage

USUAL: dict[str, Any] = {
    "base": "starter",
    "artifacts": {},
    "t0": 0.5,
    "seed": 7,
    "num_inference_steps": 50,
    "guidance_scale": 3.0,
    "prompt": "<shoes>",
    "num_images": 1,
}


def a_picture(number: int, side: int = 64) -> Image.Image:
    """A plain picture, unlike that of any other number."""
    image = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((4, 4, side - 8, side - 8), fill=(number % 256, 40 * number % 256, 99))
    pen.line((0, number % side, side, side), fill="black", width=2)
    return image


def make(
    storage: Storage,
    project_id: int,
    kind: str = "distribution",
    *,
    inputs: Mapping[str, Path] | None = None,
    first: int = 0,
    **values: Any,
) -> list[int]:
    """Store what a request of these values would have made; returns the ids of its pictures."""
    given = {**USUAL, **values}
    given = {name: given[name] for name in KINDS[kind].model_fields if name in given}
    parameters = read_request(kind, given)
    said = {**parameters.to_json(), "kind": kind, "first_seed": parameters.seed}
    said |= {"base_fingerprint": "f" * 16, "torch": "2.13.0", "diffusers": "0.35"}
    with storage.files.guard(), storage.database.session() as session:
        files = [_input(storage, name, path) for name, path in (inputs or {}).items()]
        said |= {f"{file.name}_sha256": file.sha256 for file in files}
        requests = SampleRequestRepository(session)
        request = requests.add(
            project_id, kind, parameters.to_json(), num_steps=1, inputs=tuple(files)
        )
        requests.move(request.id, JobState.RUNNING)
        requests.move(request.id, JobState.SUCCEEDED)
        rows = [
            _row(storage, project_id, request.id, {**said, "seed": seed, "position": place}, first)
            for place, seed in enumerate(parameters.seeds())
        ]
        return [GenerationRepository(session).add(row).id for row in rows]


def _input(storage: Storage, name: str, path: Path) -> InputFile:
    stored = storage.files.add_file(path)
    return InputFile(name, stored.sha256, stored.path.suffix)


def _row(
    storage: Storage, project_id: int, request_id: int, said: dict[str, Any], first: int
) -> Generation:
    image = a_picture(first + said["seed"])
    stored = store_image(storage.files, image, said)
    return Generation(
        project_id=project_id,
        request_id=request_id,
        kind=said["kind"],
        position=said["position"],
        parameters=said,
        seed=said["seed"],
        sha256=stored.sha256,
        thumbnail_sha256=stored.thumbnail_sha256,
        width=stored.width,
        height=stored.height,
    )


def seeds_of(views: Sequence[Any]) -> list[int]:
    return [view.seed for view in views]
