"""Whoever asks for a newer picture gets that one alone; whoever asks to stop gets none, at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from dyod_studio.bootstrap import build_studio
from dyod_studio.errors import InvalidInputError, SampleCancelledError
from dyod_studio.requests.sampling import SampleRequest
from dyod_studio.services.sampling.grid import Grid, draw_sheet, read_axis, write_sheet
from dyod_studio.store.files import PNG, WEBP
from dyod_studio.store.records import Generation, JobState
from dyod_studio.store.requests import GenerationRepository, SampleRequestRepository
from dyod_studio.store.tables import RequestRow

STEPS = 20


class Sampler:
    """Carries out requests one at a time as the real one does, each step when it is let go on.

    Counts the steps it made; a request's picture shows its seed.
    """

    def __init__(self, storage) -> None:
        self.storage, self.num_steps = storage, 0
        self.began: list[int] = []
        self.go_on = threading.Semaphore(0)
        self._one = threading.Lock()

    def run(self, request_id: int) -> None:
        with self._one:
            with self.storage.database.session() as session:
                requests = SampleRequestRepository(session)
                if requests.get(request_id).state is JobState.CANCELLED:
                    raise SampleCancelledError("This request was cancelled.")
                requests.move(request_id, JobState.RUNNING)
                parameters = dict(requests.get(request_id).parameters)
            self.began.append(request_id)
            for step in range(1, STEPS + 1):
                assert self.go_on.acquire(timeout=20)
                self.num_steps += 1
                with self.storage.database.session() as session:
                    if not SampleRequestRepository(session).progress(request_id, step, STEPS):
                        raise SampleCancelledError("This request was cancelled.")
            self._finish(request_id, parameters)

    def _finish(self, request_id: int, parameters: dict) -> None:
        path = self.storage.temporary_dir / f"{request_id}.png"
        Image.new("RGB", (32, 32), (parameters["seed"] % 256, 0, request_id % 256)).save(path)
        with self.storage.files.guard():
            image = self.storage.files.add_file(path, PNG)
            small = self.storage.files.add_file(path, WEBP)
            with self.storage.database.session() as session:
                requests = SampleRequestRepository(session)
                requests.move(request_id, JobState.SUCCEEDED)
                row = requests.get(request_id)
                GenerationRepository(session).add(
                    Generation(
                        project_id=row.project_id, request_id=request_id, kind=row.kind, position=0,
                        parameters=parameters, seed=parameters["seed"], sha256=image.sha256,
                        thumbnail_sha256=small.sha256, width=32, height=32,
                    )
                )  # fmt: skip


@pytest.fixture
def sampler(storage):
    return Sampler(storage)


@pytest.fixture
def studio(settings, storage, sampler):
    return build_studio(settings, storage, sampler.run)


@pytest.fixture
def sketch(tmp_path):
    path = tmp_path / "sketch.png"
    Image.new("RGB", (64, 64), "red").save(path)
    return path


def quick(sketch: Path, seed: int = 1, **values: object) -> SampleRequest:
    return SampleRequest(
        kind="image", inputs={"image": sketch}, seed=seed, num_inference_steps=STEPS, **values
    )


def rows(storage) -> list[RequestRow]:
    with storage.database.session() as session:
        return list(session.query(RequestRow).order_by(RequestRow.id))


def wait_until(condition, timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_of_twenty_strokes_only_the_newest_is_shown_and_nothing_runs_on(
    studio, shoes, storage, sampler, sketch
):
    live = studio.sampling.live
    with ThreadPoolExecutor(20) as hand:
        strokes = [hand.submit(live, shoes.id, quick(sketch, 0), visitor="anna")]
        wait_until(lambda: sampler.began)
        sampler.go_on.release(3)
        wait_until(lambda: sampler.num_steps == 3)
        for seed in range(1, 20):
            strokes.append(hand.submit(live, shoes.id, quick(sketch, seed), visitor="anna"))
            wait_until(lambda seed=seed: studio.sampling._live._tracks["anna"].newest == seed + 1)
        sampler.go_on.release(10 * STEPS)
        views = [stroke.result(30) for stroke in strokes]
    assert [view is None for view in views] == [True] * 19 + [False]
    assert views[-1].seed == 19
    assert len(sampler.began) <= 3
    assert sampler.num_steps <= 3 + 1 + STEPS + 1
    (row,) = rows(storage)
    assert (row.state, row.parameters["seed"]) == (JobState.SUCCEEDED, 19)
    assert studio.sampling._dispatcher._scopes == {}


def test_the_last_picture_takes_the_place_of_the_one_before_unless_that_is_kept(
    studio, shoes, storage, sampler, sketch
):
    sampler.go_on.release(10 * STEPS)
    first = studio.sampling.live(shoes.id, quick(sketch, 1), visitor="anna")
    second = studio.sampling.live(shoes.id, quick(sketch, 2), visitor="anna")
    assert [row.parameters["seed"] for row in rows(storage)] == [2]
    assert first.file.exists()  # a browser may still be loading it
    studio.sampling.keep_live("anna")
    third = studio.sampling.live(shoes.id, quick(sketch, 3), visitor="anna")
    assert not first.file.exists()
    assert not first.thumbnail.exists()
    with storage.database.session() as session:
        GenerationRepository(session).set_favorite(shoes.id, [third.id], True)
    studio.sampling.live(shoes.id, quick(sketch, 4), visitor="anna")
    assert second.file.exists()
    assert third.file.exists()
    assert [row.parameters["seed"] for row in rows(storage)] == [2, 3, 4]


def test_two_visitors_do_not_overtake_or_stop_each_other(studio, shoes, sampler, sketch):
    with ThreadPoolExecutor(2) as hands:
        anna = hands.submit(studio.sampling.live, shoes.id, quick(sketch, 1), visitor="anna")
        wait_until(lambda: len(sampler.began) == 1)
        ben = hands.submit(studio.sampling.live, shoes.id, quick(sketch, 2), visitor="ben")
        assert studio.sampling.cancel("carla") == 0
        sampler.go_on.release(2 * STEPS)
        assert (anna.result(30).seed, ben.result(30).seed) == (1, 2)


def test_cancel_is_answered_before_the_sampler_has_noticed_and_ends_what_waits_too(
    studio, shoes, storage, sampler, sketch
):
    with ThreadPoolExecutor(3) as hands:
        running = hands.submit(studio.sampling.sample, shoes.id, quick(sketch), visitor="anna")
        wait_until(lambda: sampler.began)
        waiting = hands.submit(studio.sampling.sample, shoes.id, quick(sketch), visitor="anna")
        wait_until(lambda: len(rows(storage)) == 2)
        assert studio.sampling.cancel("anna") == 2
        for stopped in (running, waiting):
            with pytest.raises(SampleCancelledError):
                stopped.result(30)
    assert [row.state for row in rows(storage)] == [JobState.CANCELLED] * 2
    assert sampler.num_steps == 0
    sampler.go_on.release(2 * STEPS)
    (made,) = studio.sampling.sample(shoes.id, quick(sketch, num_images=1))
    assert made.seed == 1
    assert len(sampler.began) == 2


def test_a_grid_is_checked_whole_and_stops_whole(studio, shoes, storage, sampler, sketch):
    grid = Grid(quick(sketch, 5), read_axis("t0=0.3,0.5,2"), read_axis("guidance=1,3"))
    with pytest.raises(InvalidInputError, match=r"t0 must lie in \[0, 1\], got 2"):
        studio.sampling.grid(shoes.id, grid)
    assert rows(storage) == []
    grid = Grid(quick(sketch, 5), read_axis("t0=0.3,0.5"), read_axis("guidance=1,3"))
    seen = []
    sampler.go_on.release(5 * STEPS)
    made = studio.sampling.grid(shoes.id, grid, seen.append)
    said = [(view.parameters["t0"], view.parameters["guidance_scale"]) for view in made.views]
    assert said == [(0.3, 1), (0.5, 1), (0.3, 3), (0.5, 3)]
    assert {view.seed for view in made.views} == {5}
    assert made.captions[1] == "guidance 1 · t0 0.5"
    assert all(p.num_steps == 4 * STEPS for p in seen)
    with ThreadPoolExecutor(1) as hand:
        running = hand.submit(studio.sampling.grid, shoes.id, grid, visitor="anna")
        wait_until(lambda: len(sampler.began) == 6)
        assert studio.sampling.cancel("anna") == 1
        with pytest.raises(SampleCancelledError):
            running.result(30)
    sampler.go_on.release(1)
    assert len(rows(storage)) == 4 + 2


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ("t0", "An axis is written name=value,value, got 't0'"),
        ("size=1,2", "An axis is one of t0, mask-rate, guidance, seed, parts, got 'size'"),
        ("t0=a", "t0 takes numbers, got 'a'"),
        ("seed=1.5", "seed takes whole numbers, got '1.5'"),
        ("t0= ,", "The axis t0 has no values"),
    ],
)
def test_an_axis_that_cannot_be_read_is_refused_in_one_sentence(axis, message):
    with pytest.raises(InvalidInputError, match=message):
        read_axis(axis)


def test_a_grid_is_neither_too_large_nor_twice_the_same_axis(sketch):
    many = read_axis("seed=" + ",".join(map(str, range(65))))
    with pytest.raises(InvalidInputError, match="at most 64 pictures, got 65"):
        Grid(quick(sketch), many)
    with pytest.raises(InvalidInputError, match="two different axes, got t0 twice"):
        Grid(quick(sketch), read_axis("t0=1"), read_axis("t0=0"))


def test_parts_are_an_axis_of_their_own():
    axis = read_axis("parts=inversion,inversion+anl,none")
    assert axis.values == (("inversion",), ("inversion", "anl"), ())
    assert axis.labels == ("parts inversion", "parts inversion + anl", "parts none")


def test_the_sheet_of_a_grid_holds_every_picture_and_is_the_same_each_time(
    studio, shoes, sampler, sketch, tmp_path
):
    sampler.go_on.release(6 * STEPS)
    grid = Grid(quick(sketch, 5), read_axis("t0=0.3,0.5,0.7"), read_axis("seed=200,90"))
    made = studio.sampling.grid(shoes.id, grid)
    sheet = draw_sheet(made)
    reds = {sheet.getpixel((x, y))[0] for x in range(0, sheet.width, 9)
            for y in range(0, sheet.height, 9) if sheet.getpixel((x, y))[1] == 0}  # fmt: skip
    assert reds == {200, 90}
    first, again = (write_sheet(made, tmp_path / f"{n}.png").read_bytes() for n in (1, 2))
    assert first == again
