"""What a run is said to take: arithmetic that can be checked by hand, and what the machine has."""

import re
import subprocess
import sys

import psutil
import pytest
import torch

from dyod_studio.errors import BaseModelError
from dyod_studio.models import memory
from dyod_studio.models.base_size import STABLE_DIFFUSION, base_size, num_parameters
from dyod_studio.models.memory import free_memory_mb, limit_memory, peak_memory_mb
from dyod_studio.models.memory_plan import (
    Measurement,
    StepShape,
    Workload,
    estimate,
    make_plan,
    scaled,
)
from dyod_studio.settings import STARTER_DIR

NEEDS = Measurement(3000, setup_s=10, step_s=0.5, preview_s=4, checkpoint_s=0.25)
WORK = Workload(num_steps=100, num_previews=2, num_checkpoints=4)


def test_a_plan_adds_up_what_was_measured():
    plan = make_plan("cpu", 4000, NEEDS, WORK, is_estimate=False, measures=("One.",))
    assert plan.seconds == 10 + 100 * 0.5 + 2 * 4 + 4 * 0.25
    assert (plan.fits, plan.advice, plan.measures) == (True, "", ("One.",))
    assert (plan.free_mb, plan.peak_memory_mb, plan.is_estimate) == (4000, 3000, False)


@pytest.mark.parametrize(("device", "what"), [("cpu", "the memory"), ("cuda", "the card")])
def test_a_plan_that_does_not_fit_says_how_much_is_missing(device, what):
    plan = make_plan(device, 1800, NEEDS, WORK, is_estimate=True)
    assert not plan.fits
    assert plan.advice.startswith("About 1,200 MB more have to be free: close other programs")
    assert what in plan.advice


def test_what_never_happened_takes_no_time():
    assert WORK.seconds(Measurement(1, setup_s=1, step_s=0.1)) == 1 + 100 * 0.1


def test_the_size_of_a_folder_is_read_from_its_small_files(base_folder, base):
    size = base_size(str(base_folder), STARTER_DIR)
    modules = (base.unet, base.vae, base.text_encoder)
    counted = sum(p.numel() for module in modules for p in module.parameters())
    assert size.num_parameters == pytest.approx(counted, rel=0.02)  # position ids are stored too
    assert size.num_unet_parameters == sum(p.numel() for p in base.unet.parameters())
    assert (size.resolution, size.resolution_multiple) == (
        base.resolution,
        base.resolution_multiple,
    )
    assert size.activations_mb > 0
    assert size.gflops > 0


def test_the_starter_is_counted_exactly():
    size = base_size("starter", STARTER_DIR)
    assert size.resolution == 128
    files = sorted((STARTER_DIR / "unet").glob("*.safetensors"))
    assert size.num_unet_parameters == sum(num_parameters(path) for path in files)


def test_a_single_file_is_taken_for_stable_diffusion(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    assert base_size(str(path), STARTER_DIR) == STABLE_DIFFUSION


def test_a_base_that_is_not_there_has_no_size():
    with pytest.raises(BaseModelError, match="There is no base model 'no such/folder/at all'"):
        base_size("no such/folder/at all", STARTER_DIR)


def test_an_estimate_shrinks_with_every_rung_and_grows_with_the_batch():
    def peak(**values):
        shape = {"micro_batch": 4, "num_parts": 1} | values
        return estimate(STABLE_DIFFUSION, StepShape(**shape), "cuda").peak_memory_mb

    assert peak(micro_batch=8) > peak()
    ladder = [
        peak(),
        peak(micro_batch=2, num_parts=2),
        peak(micro_batch=1, num_parts=4),
        peak(micro_batch=1, num_parts=4, recompute=True),
        peak(micro_batch=1, num_parts=4, recompute=True, previews=False, share_px=0.25),
    ]
    assert ladder == sorted(ladder, reverse=True)
    assert ladder[-1] < ladder[0] / 2


def test_an_estimate_of_a_method_that_leaves_the_unet_alone_is_not_charged_for_it():
    small = StepShape(32, 1, uses_unet=False)
    large = StepShape(32, 1)
    with_unet, without = (estimate(STABLE_DIFFUSION, shape, "cpu") for shape in (large, small))
    assert without.peak_memory_mb < with_unet.peak_memory_mb
    assert without.step_s < with_unet.step_s


def test_a_measurement_of_other_settings_is_brought_to_these():
    there = Measurement(900, setup_s=10, step_s=1)
    here = Measurement(1200, setup_s=10, step_s=2)
    brought = scaled(NEEDS, here, there)
    assert brought == Measurement(3300, setup_s=10, step_s=1.0, preview_s=4, checkpoint_s=0.25)
    assert scaled(NEEDS, there, Measurement(9000, 10, 1)).peak_memory_mb == 600


def test_the_free_memory_of_the_cpu_is_the_machines_and_knows_no_cap():
    available = psutil.virtual_memory().available / 1e6
    assert free_memory_mb("cpu", limit_mb=1) == pytest.approx(available, rel=0.5)
    limit_memory("cpu", 100)


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, 10_000 * 2**20 / 1e6), (5000, 5000), (99_000, 10_485.76)]
)
def test_a_cap_makes_a_large_card_a_small_one(monkeypatch, limit, expected):
    def answer(command, **options):
        assert command[0].endswith("nvidia-smi")
        return subprocess.CompletedProcess(command, 0, stdout="10000\n")

    monkeypatch.setattr(memory.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(memory.subprocess, "run", answer)
    assert free_memory_mb("cuda", limit) == pytest.approx(expected, rel=1e-3)


PEAK = """
from dyod_studio.models.memory import peak_memory_mb
before = peak_memory_mb("cpu")
block = bytearray(200_000_000)
block[::4096] = b"1" * len(block[::4096])
del block
print(before, peak_memory_mb("cpu"))
"""


def test_the_peak_is_this_processs_own_and_is_remembered_after_memory_is_given_back():
    ballast = bytearray(b"1") * 300_000_000
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert before < 150
    assert 190 < after - before < 260
    assert peak_memory_mb("cpu") > len(ballast) / 1e6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")
def test_a_cap_is_kept_by_the_allocator_of_a_card():
    code = (
        "import torch; from dyod_studio.models.devices import limit_memory\n"
        "limit_memory('cuda', 1000)\n"
        "torch.empty(900_000_000, dtype=torch.uint8, device='cuda')\n"
        "torch.empty(1_100_000_000, dtype=torch.uint8, device='cuda')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert re.search(r"OutOfMemoryError.*1100000000|out of memory", done.stderr)
