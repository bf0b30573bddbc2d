"""Strips that are drawn in the background: coarse first, once, and never in anybody's way."""

import threading
import time
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from safetensors.torch import load_file, save_file

from dyod_studio.bootstrap import build_studio
from dyod_studio.errors import (
    InvalidInputError,
    NotFoundError,
    SampleCancelledError,
    SamplerError,
)
from dyod_studio.requests.sampling import (
    AVERAGE,
    InterpolationRequest,
    PointRequest,
    SampleRequest,
)
from dyod_studio.services.explore.strips import coarse_first
from dyod_studio.settings import Settings
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import SAFETENSORS
from dyod_studio.store.records import JobState
from dyod_studio.store.requests import SampleRequestRepository
from dyod_studio.store.tables import RequestRow
from tests.services.trained import opened_studio, train_everything

STEPS = 4
PROJECT = 1


@pytest.fixture(scope="module")
def trained(base_folders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "storage"
    train_everything(folder, base_folders["starter"])
    return folder


@pytest.fixture
def bench(trained, tmp_path):
    with opened_studio(tmp_path / "storage", copy_of=trained) as (studio, storage):
        yield studio, storage
        studio.explore.prefetcher.close()


def wait_until(condition, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def walked(studio, walk, visitor="she"):
    """The walk when it is over."""
    studio.explore.prefetcher.begin(visitor, walk)
    wait_until(lambda: studio.explore.prefetcher.look(visitor, walk).is_over)
    view = studio.explore.prefetcher.look(visitor, walk)
    assert view.error is None
    return view


def requests_in(storage):
    with storage.database.session() as session:
        return list(session.query(RequestRow).order_by(RequestRow.id))


def difference(a: Path, b: Path) -> int:
    """The largest, in levels of 255. A batch of another size may round one level away."""
    with Image.open(a) as first, Image.open(b) as second:
        apart = ImageChops.difference(first.convert("RGB"), second.convert("RGB"))
    return max(high for _, high in apart.getextrema())


def same(a: Path, b: Path) -> bool:
    return difference(a, b) == 0


@pytest.mark.parametrize(
    ("count", "order"),
    [(2, [0, 1]), (3, [0, 1, 2]), (5, [0, 2, 4, 1, 3]), (9, [0, 4, 8, 2, 6, 1, 3, 5, 7])],
)
def test_a_way_is_drawn_coarsely_first(count, order):
    assert coarse_first(count) == order
    assert sorted(coarse_first(count + 17)) == list(range(count + 17))


def test_a_way_begins_with_the_very_picture_that_was_picked_and_stays_out_of_the_gallery(bench):
    studio, storage = bench
    asked = SampleRequest(kind="distribution", seed=41, num_images=2, num_inference_steps=STEPS)
    made = studio.sampling.sample(PROJECT, asked)
    settings = InterpolationRequest(
        a=f"made:{made[1].id}", b="set:1", num_frames=6, num_inference_steps=STEPS
    )
    walk = studio.explore.interpolation(PROJECT, settings)
    before = len(requests_in(storage))
    (strip,) = walked(studio, walk).strips
    assert [frame.at for frame in strip] == [0, 1, 2, 3, 4, 5]
    assert same(strip[0].file, made[1].file)
    assert not same(strip[0].file, strip[5].file)
    assert studio.gallery.count(PROJECT) == 2
    assert len(requests_in(storage)) == before

    whole = studio.sampling.interpolate(
        PROJECT,
        InterpolationRequest(
            a=f"seed:{made[1].seed}", b=str(walk.request.inputs["b"]), num_frames=6,
            num_inference_steps=STEPS,
        ),
    )  # fmt: skip
    assert all(difference(f.file, v.file) <= 1 for f, v in zip(strip, whole, strict=True))


def test_a_walk_that_is_drawn_is_never_drawn_again_and_a_frame_of_it_can_be_kept(bench):
    studio, storage = bench
    settings = InterpolationRequest(
        a="seed:1", b="seed:2", num_frames=3, free_noise=True, num_inference_steps=STEPS
    )
    walk = studio.explore.interpolation(PROJECT, settings)
    with pytest.raises(InvalidInputError, match="Wait until the strip is whole: 0 of 3 frames"):
        studio.explore.prefetcher.finished("she", walk)
    with pytest.raises(NotFoundError, match="not drawn yet"):
        studio.explore.keep(PROJECT, walk.steps[0].key)
    walked(studio, walk)
    again = studio.explore.interpolation(PROJECT, settings)
    assert studio.explore.prefetcher.finished("he", again).is_complete
    kept = studio.explore.keep(PROJECT, walk.strips[0][1][1])
    assert studio.gallery.page(PROJECT) == [kept]
    assert (kept.kind, kept.seed, kept.parameters["frames"]) == ("interpolation", 2, [1])
    told = studio.gallery.provenance(kept.id)
    assert (told.screen, told.request.num_frames, told.request.use) == (
        "explore", 3, ("inversion", "vae"),
    )  # fmt: skip
    studio.projects.delete(PROJECT)
    assert list((storage.root / "files").rglob("*.png")) == []


def test_the_strips_around_a_place_meet_in_it_and_each_moves_one_trait(bench):
    studio, _ = bench
    count = len(studio.bookmarks.traits(PROJECT))
    settings = PointRequest.at(AVERAGE, {0: 1.0, 1: 0.0}, num_inference_steps=STEPS)
    walk = studio.explore.around(PROJECT, settings)
    here, *strips = walked(studio, walk).strips
    assert len(strips) == min(8, count)
    assert [frame.at for frame in strips[0]] == [-3, -2, -1, 0, 1, 2, 3]
    for strip, at in zip(strips, (1.0, *[0.0] * (len(strips) - 1)), strict=True):
        assert next(frame.key for frame in strip if frame.at == at) == here[0].key
    assert not same(strips[0][0].file, strips[0][-1].file)
    back = PointRequest(num_inference_steps=STEPS)
    average = studio.explore.prefetcher.draw(studio.explore.point(PROJECT, back))
    assert average.strips[0][0].key == strips[0][3].key
    with pytest.raises(InvalidInputError, match=rf"A trait lies in \[0, {count - 1}\], got 99"):
        studio.explore.point(PROJECT, PointRequest.at(AVERAGE, {99: 1.0}))


def test_what_lies_near_differs_the_more_the_wider_it_is_looked_for(bench):
    studio, _ = bench
    first = studio.projects.pictures(PROJECT)[0]

    def near(spread):
        settings = PointRequest.near(
            f"set:{first.id}", 2, spread, seed=3, t0=0.0, num_inference_steps=STEPS
        )  # fmt: skip
        return studio.explore.near(PROJECT, settings)

    exact, wide = near(0.0), near(1.0)
    assert same(exact[0].file, exact[1].file)
    assert not same(wide[0].file, wide[1].file)
    assert [view.seed for view in wide] == [3, 4]
    assert {view.kind for view in studio.gallery.page(PROJECT)} == {"near"}


def test_a_place_is_kept_under_its_name_and_found_again_with_all_that_draws_it(bench):
    studio, _ = bench
    settings = PointRequest.at(
        "seed:5", {1: -2.0}, t0=0.4, use=("inversion",), num_inference_steps=STEPS
    )
    saved = studio.bookmarks.save(PROJECT, " long  hair ", settings)
    assert studio.bookmarks.all(PROJECT) == [saved]
    found = studio.bookmarks.get(PROJECT, saved.id)
    assert (found.name, found.is_reachable) == ("long hair", True)
    assert found.point == PointRequest.at(
        "seed:5", {1: -2.0}, t0=0.4, use=("inversion",), seed=5,
        num_inference_steps=STEPS,
    )  # fmt: skip
    assert [view.is_favorite for view in studio.gallery.page(PROJECT)] == [True]
    walk = studio.explore.point(PROJECT, found.point)
    assert studio.explore.prefetcher.look("", walk).is_complete
    for name, origin, message in (
        ("long hair", "average", "There is a place named 'long hair' already"),
        (" ", "average", "A name has 1 to 60 characters, got 0"),
        ("x" * 61, "average", "A name has 1 to 60 characters, got 61"),
        ("from a file", "/tmp/x.png", "begins at the average, a seed, or a picture"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            studio.bookmarks.save(PROJECT, name, PointRequest(origin=origin))
    studio.bookmarks.delete(PROJECT, saved.id)
    assert studio.bookmarks.all(PROJECT) == []
    assert studio.gallery.count(PROJECT) == 1


def test_a_place_of_an_earlier_shape_model_says_so(bench):
    studio, storage = bench
    settings = PointRequest(num_inference_steps=STEPS)
    saved = studio.bookmarks.save(PROJECT, "middle", settings)
    studio.bookmarks.name_trait(PROJECT, 0, "Hair")
    assert studio.bookmarks.traits(PROJECT)[0].label == "Hair"
    train_again(storage)
    assert studio.bookmarks.traits(PROJECT)[0].label == "Trait 1"
    assert not studio.bookmarks.all(PROJECT)[0].is_reachable
    with pytest.raises(InvalidInputError, match="'middle' lies in an earlier shape model"):
        studio.bookmarks.get(PROJECT, saved.id)


def train_again(storage):
    """Leave another file of the same shape model, as a second training would."""
    with storage.database.session() as session:
        old = ArtifactRepository(session).latest(PROJECT, "vae")
    tensors = load_file(storage.files.path(old.sha256, SAFETENSORS))
    newer = storage.temporary_dir / "newer.safetensors"
    save_file(tensors, newer, metadata={"dyod.config": "{}"})
    with storage.files.guard(), storage.database.session() as session:
        stored = storage.files.add_file(newer)
        ArtifactRepository(session).add(PROJECT, "vae", stored, base_fingerprint="f", config={})


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ("seed:1", "seed:1", "A and B are the same picture"),
        ("set:1", "set:1", "A and B are the same picture"),
        ("set:x", "seed:1", "A must be a number after 'set:', got 'set:x'"),
        ("seed:1", "gone.png", "There is no picture 'gone.png'"),
    ],
)
def test_ends_that_make_no_way_are_refused_in_a_sentence(bench, a, b, message):
    studio, storage = bench
    before = requests_in(storage)
    with pytest.raises(InvalidInputError, match=message):
        studio.explore.interpolation(PROJECT, InterpolationRequest(a=a, b=b))
    for told in ("made:99", "set:99"):
        with pytest.raises(NotFoundError):
            studio.explore.interpolation(PROJECT, InterpolationRequest(a=told, b="seed:1"))
    assert len(requests_in(storage)) == len(before)


def test_without_a_shape_model_there_is_no_way(studio, shoes):
    with pytest.raises(InvalidInputError, match="'Shoes' has no trained vae yet"):
        studio.explore.interpolation(shoes.id, InterpolationRequest(a="seed:1", b="seed:2"))
    assert studio.bookmarks.all(shoes.id) == []


class Gate:
    """A sampler that works on each request until it is let go on, and notes how it ended."""

    def __init__(self, storage) -> None:
        self.storage = storage
        self.running: list[int] = []
        self.is_open = threading.Event()
        self._one = threading.Lock()

    def run(self, request_id: int) -> None:
        with self._one:
            with self.storage.database.session() as session:
                requests = SampleRequestRepository(session)
                requests.move(request_id, JobState.RUNNING)
            self.running.append(request_id)
            while not self.is_open.wait(0.01):
                with self.storage.database.session() as session:
                    if not SampleRequestRepository(session).progress(request_id, 1, 9):
                        raise SampleCancelledError("This request was cancelled.")
            with self.storage.database.session() as session:
                SampleRequestRepository(session).move(request_id, JobState.SUCCEEDED)


@pytest.fixture
def gated(bench, settings_of_copy):
    _, storage = bench
    gate = Gate(storage)
    studio = build_studio(settings_of_copy, storage, gate.run)
    yield studio, storage, gate
    gate.is_open.set()
    studio.explore.prefetcher.close()


@pytest.fixture
def settings_of_copy(tmp_path):
    return Settings(storage=tmp_path / "storage", device="cpu")


def test_a_newer_walk_overtakes_the_older_within_a_step(gated):
    studio, storage, gate = gated
    walks = studio.explore.prefetcher
    first, second = (
        studio.explore.interpolation(PROJECT, InterpolationRequest(a="seed:1", b=b))
        for b in ("seed:2", "seed:3")
    )
    walks.begin("she", first)
    wait_until(lambda: len(gate.running) == 1)
    walks.begin("she", first)
    walks.begin("she", second)
    wait_until(lambda: len(gate.running) == 2)
    (row,) = requests_in(storage)
    assert row.parameters["b"] == "seed:3"
    walks.stop("she")
    wait_until(lambda: requests_in(storage) == [])


def test_a_walk_gives_way_to_whoever_waits_for_a_picture(gated):
    studio, storage, gate = gated
    walk = studio.explore.interpolation(PROJECT, InterpolationRequest(a="seed:1", b="seed:2"))
    studio.explore.prefetcher.begin("she", walk)
    wait_until(lambda: len(gate.running) == 1)
    made = threading.Thread(
        target=studio.sampling.sample, args=(PROJECT, SampleRequest(kind="distribution"))
    )
    made.start()
    wait_until(lambda: len(gate.running) == 2)
    wait_until(lambda: len(requests_in(storage)) == 1)  # the strip's own request is forgotten
    (waited,) = requests_in(storage)
    assert (waited.kind, waited.state) == ("distribution", JobState.RUNNING)
    gate.is_open.set()
    made.join(60)
    wait_until(lambda: len(gate.running) == 3)


def test_why_a_strip_cannot_be_drawn_is_told_to_whoever_looks(bench, settings_of_copy):
    _, storage = bench

    def refuse(request_id):
        raise SamplerError("The card is gone: start the studio again.")

    studio = build_studio(settings_of_copy, storage, refuse)
    walk = studio.explore.interpolation(PROJECT, InterpolationRequest(a="seed:1", b="seed:2"))
    studio.explore.prefetcher.begin("she", walk)
    wait_until(lambda: studio.explore.prefetcher.look("she", walk).is_over)
    view = studio.explore.prefetcher.look("she", walk)
    assert (view.done, view.error) == (0, "The card is gone: start the studio again.")
    studio.explore.prefetcher.close()
