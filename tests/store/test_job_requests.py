"""What a person asks of a job, in each of its states."""

import pytest

from dyod_studio.errors import InvalidInputError, JobStateError
from dyod_studio.store.jobs import MAX_NOTES, JobRepository
from dyod_studio.store.records import NEXT_STATES, JobState, ProcessIdentity
from dyod_studio.store.tables import JobRow

HERE, CPU = "here", "here/cpu"


@pytest.fixture
def jobs(database, project_id):
    with database.session() as session:
        yield JobRepository(session)


def queue(jobs: JobRepository, project_id: int, number: int = 1) -> list[int]:
    return [jobs.add(project_id, "vae", {"steps": 10}, 10).id for _ in range(number)]


def start(jobs: JobRepository, project_id: int, pid: int = 4711) -> int:
    (job_id,) = queue(jobs, project_id)
    assert jobs.claim_next(CPU, HERE).id == job_id
    assert jobs.set_process(job_id, ProcessIdentity(HERE, pid, 1.5))
    return job_id


def test_a_queued_job_pauses_at_once_and_keeps_its_place(jobs, project_id):
    first, second = queue(jobs, project_id, 2)
    assert jobs.request_pause(first).state is JobState.PAUSED
    assert [job.id for job in jobs.queue()] == [first, second]
    assert jobs.resume(first).state is JobState.QUEUED
    assert jobs.claim_next(CPU, HERE).id == first


def test_a_paused_job_is_not_claimed(jobs, project_id):
    first, second = queue(jobs, project_id, 2)
    jobs.request_pause(first)
    assert jobs.claim_next(CPU, HERE).id == second


def test_a_running_job_is_asked_to_pause_and_the_request_can_be_taken_back(jobs, project_id):
    job_id = start(jobs, project_id)
    assert jobs.request_pause(job_id).state is JobState.RUNNING
    assert jobs.control_flags(job_id).pause
    assert jobs.resume(job_id).state is JobState.RUNNING
    assert not jobs.control_flags(job_id).pause
    with pytest.raises(JobStateError, match=f"Job {job_id} is running; it cannot be resumed"):
        jobs.resume(job_id)


def test_a_resumed_job_has_its_three_attempts_again_and_no_old_request(jobs, project_id):
    job_id = start(jobs, project_id)
    jobs.request_pause(job_id)
    jobs.move(job_id, JobState.PAUSED)
    assert not jobs.get(job_id).pause_requested
    assert jobs.resume(job_id).attempts == 0
    assert jobs.claim_next(CPU, HERE).attempts == 1
    assert jobs.control_flags(job_id) == (False, False, False, False)


def test_a_paused_job_that_is_cancelled_ends_at_once(jobs, project_id):
    (job_id,) = queue(jobs, project_id)
    jobs.request_pause(job_id)
    job = jobs.request_cancel(job_id)
    assert (job.state, job.finished_at is None) == (JobState.CANCELLED, False)


def test_saving_and_sampling_are_asked_of_a_running_job_and_taken_back_when_done(jobs, project_id):
    job_id = start(jobs, project_id)
    jobs.request_save(job_id)
    jobs.request_sample(job_id)
    assert jobs.control_flags(job_id) == (False, False, True, True)
    jobs.acknowledge(job_id, save=True)
    assert jobs.control_flags(job_id) == (False, False, False, True)
    jobs.acknowledge(job_id, sample=True)
    jobs.acknowledge(job_id)
    assert jobs.control_flags(job_id) == (False, False, False, False)


def test_what_does_not_run_cannot_save_sample_or_pause(jobs, project_id):
    (job_id,) = queue(jobs, project_id)
    for ask in (jobs.request_save, jobs.request_sample):
        with pytest.raises(JobStateError, match=f"Job {job_id} is queued; it cannot be asked for"):
            ask(job_id)
    jobs.request_cancel(job_id)
    for ask in (jobs.request_save, jobs.request_sample, jobs.request_pause, jobs.resume):
        with pytest.raises(JobStateError, match=f"Job {job_id} is cancelled; it cannot be"):
            ask(job_id)


def test_a_job_that_is_being_cancelled_takes_no_other_request(jobs, project_id):
    job_id = start(jobs, project_id)
    jobs.request_cancel(job_id)
    for ask in (jobs.request_save, jobs.request_sample, jobs.request_pause):
        with pytest.raises(JobStateError, match=f"Job {job_id} is being cancelled; it cannot be"):
            ask(job_id)


def test_a_process_that_lost_its_job_to_another_can_write_nothing(jobs, project_id):
    job_id, lost, now = (
        start(jobs, project_id),
        ProcessIdentity(HERE, 4711),
        ProcessIdentity("there", 5),
    )
    assert jobs.put_back(job_id, "It died.", lost)
    assert jobs.claim_next("there/cpu", "there").id == job_id
    assert jobs.set_process(job_id, ProcessIdentity(HERE, 4711, 1.5)) is False
    assert jobs.set_process(job_id, ProcessIdentity("there", now.pid, 2.5))
    assert jobs.set_process(job_id, ProcessIdentity("there", 6, 2.5)) is False
    assert jobs.control_flags(job_id, lost) is None
    assert jobs.beat(job_id, "its log", lost) is False
    jobs.progress(job_id, 9, loss=0.5, seconds_left=1.0, owner=lost)
    with pytest.raises(JobStateError):
        jobs.move(job_id, JobState.SUCCEEDED, owner=lost)
    assert jobs.put_back(job_id, "It died.", lost) is False
    job = jobs.get(job_id)
    assert (job.state, job.step, job.log_tail, job.pid) == (JobState.RUNNING, 0, "", now.pid)
    jobs.move(job_id, JobState.SUCCEEDED, owner=now)


def test_a_job_that_is_put_back_keeps_its_place_and_says_why(jobs, project_id):
    job_id = start(jobs, project_id)
    queue(jobs, project_id, 2)
    assert jobs.put_back(job_id, "The process was ended.")
    job = jobs.queue()[0]
    assert (job.id, job.state, job.pid, job.attempts) == (job_id, JobState.QUEUED, None, 1)
    assert job.notes == ["The process was ended."]
    assert jobs.claim_next(CPU, HERE).attempts == 2


def test_a_note_is_said_once_and_a_talkative_run_fills_no_database(jobs, project_id):
    (job_id,) = queue(jobs, project_id)
    for number in range(2 * MAX_NOTES):
        jobs.add_note(job_id, "The same.")
        jobs.add_note(job_id, f"Another {number}.")
    notes = jobs.get(job_id).notes
    assert notes[:2] == ["The same.", "Another 0."]
    assert len(notes) == MAX_NOTES


def test_what_was_made_smaller_stays_in_the_row(jobs, project_id):
    (job_id,) = queue(jobs, project_id)
    jobs.adjust(job_id, {"accumulation": 2}, "Two halves a step.")
    job = jobs.get(job_id)
    assert (job.adjustments, job.notes) == ({"accumulation": 2}, ["Two halves a step."])


def test_a_job_names_the_checkpoint_it_begins_from_and_survives_that_jobs_row(jobs, project_id):
    (first,) = queue(jobs, project_id)
    job = jobs.add(project_id, "vae", {}, 10, continues_job_id=first, start_step=4)
    assert (job.continues_job_id, job.start_step, job.is_finish_only) == (first, 4, False)
    jobs._session.delete(jobs._session.get(JobRow, first))
    jobs._session.flush()
    assert jobs.get(job.id).continues_job_id is None


@pytest.mark.parametrize(
    ("position", "expected"), [(1, [2, 0, 1]), (2, [0, 2, 1]), (3, [0, 1, 2]), (99, [0, 1, 2])]
)
def test_a_waiting_job_moves_to_the_place_it_is_given(jobs, project_id, position, expected):
    running = start(jobs, project_id)
    ids = queue(jobs, project_id, 3)
    jobs.set_place(ids[2], position)
    assert [job.id for job in jobs.queue()] == [running, *(ids[index] for index in expected)]
    assert jobs.position(ids[2]) == min(position, 3)
    later = jobs.add(project_id, "vae", {}, 1).id
    assert jobs.queue()[-1].id == later
    jobs.move(running, JobState.SUCCEEDED)
    assert jobs.claim_next(CPU, HERE).id == ids[expected[0]]


def test_a_running_job_has_no_place_to_move_to(jobs, project_id):
    job_id = start(jobs, project_id)
    assert jobs.position(job_id) is None
    with pytest.raises(JobStateError, match="only a waiting job can be moved"):
        jobs.set_place(job_id, 1)
    with pytest.raises(InvalidInputError, match="counts from 1, got 0"):
        jobs.set_place(job_id, 0)


def test_one_job_runs_on_a_device_at_a_time_and_other_devices_go_on(jobs, project_id):
    first, second, third = queue(jobs, project_id, 3)
    assert jobs.claim_next(CPU, HERE).id == first
    assert jobs.claim_next(CPU, HERE) is None
    assert jobs.claim_next("here/cuda:0", HERE).id == second
    jobs.move(first, JobState.FAILED)
    assert jobs.claim_next(CPU, HERE).id == third


MOVES = [(start, to) for start in JobState for to in JobState]


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_a_move_is_made_exactly_when_the_table_of_moves_allows_it(jobs, project_id, before, after):
    (job_id,) = queue(jobs, project_id)
    jobs._session.get(JobRow, job_id).state = before
    jobs._session.flush()
    is_legal = after in NEXT_STATES.get(before, ())
    if is_legal:
        jobs.move(job_id, after)
    else:
        with pytest.raises(JobStateError):
            jobs.move(job_id, after)
    assert jobs.get(job_id).state is (after if is_legal else before)
