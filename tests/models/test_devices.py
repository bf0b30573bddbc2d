import copy

import pytest
import torch

from dyod_studio.errors import DeviceError
from dyod_studio.models import devices
from dyod_studio.models.devices import (
    Card,
    DtypePolicy,
    card_problem,
    check_device,
    choose_device,
    dtype_policy,
    has_kernels_for,
)
from dyod_studio.models.loading import store_weights_in

CU126 = ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90")
CU130 = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120")
PASCAL = Card("NVIDIA GeForce GTX 1080 Ti", (6, 1), CU126)
CUDA = torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "arch_list", "expected"),
    [
        ((6, 1), CU126, True),
        ((6, 1), CU130, False),
        ((7, 0), CU130, False),
        ((8, 9), CU130, True),
        ((12, 0), CU126, False),
        ((12, 1), CU130, True),
        ((13, 0), CU130, True),
        ((9, 0), ("sm_90a",), True),
        ((6, 0), ("sm_61",), False),
        ((6, 1), (), False),
    ],
)
def test_a_build_fits_a_card_by_major_version_or_portable_code(capability, arch_list, expected):
    assert has_kernels_for(capability, arch_list) is expected


def test_pascal_under_a_cuda_13_build_is_told_to_take_cu126():
    problem = card_problem(Card("GTX 1080 Ti", (6, 1), CU130))
    assert problem is not None
    assert "no kernels for the GTX 1080 Ti (compute capability 6.1)" in problem
    assert "`make run TORCH=cu126`" in problem


def test_a_card_newer_than_the_build_is_told_to_take_the_default():
    problem = card_problem(Card("RTX 5090", (12, 0), CU126))
    assert problem is not None
    assert "`make run`, without TORCH=cu126" in problem


def test_a_card_older_than_any_build_is_sent_to_the_cpu():
    assert "DYOD_DEVICE=cpu" in str(card_problem(Card("GTX 780", (3, 5), CU126)))


def test_a_card_that_fails_its_first_kernel_is_no_card():
    def fail() -> None:
        raise RuntimeError("CUDA error: no kernel image is available\nmany more lines")

    problem = card_problem(PASCAL, run_kernel=fail)
    assert problem is not None
    assert "(CUDA error: no kernel image is available)" in problem
    assert card_problem(PASCAL, run_kernel=lambda: None) is None


@pytest.mark.parametrize(
    ("name", "capability", "storage", "compute"),
    [
        ("NVIDIA GeForce GTX 1080 Ti", (6, 1), torch.float16, torch.float32),
        ("Tesla T4", (7, 5), torch.float16, torch.float32),
        ("NVIDIA GeForce GTX 1660 SUPER", (7, 5), torch.float32, torch.float32),
        ("NVIDIA GeForce GTX 1650", (7, 5), torch.float32, torch.float32),
        ("NVIDIA GeForce RTX 3060", (8, 6), torch.bfloat16, torch.bfloat16),
    ],
)
def test_precision_follows_the_card(name, capability, storage, compute):
    policy = dtype_policy(CUDA, Card(name, capability, CU126))
    assert policy == DtypePolicy(storage, compute, torch.float32)


def test_the_cpu_computes_in_float32():
    assert dtype_policy(torch.device("cpu")) == DtypePolicy()


def test_auto_falls_back_to_the_cpu_and_cuda_says_why(monkeypatch):
    monkeypatch.setattr(devices, "find_card", lambda: Card("GTX 1080 Ti", (6, 1), CU130))
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(DeviceError, match="TORCH=cu126"):
        choose_device("cuda")
    monkeypatch.setattr(devices, "find_card", lambda: None)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(DeviceError, match="no CUDA card"):
        choose_device("cuda")


def test_a_working_card_is_taken(monkeypatch):
    monkeypatch.setattr(devices, "find_card", lambda: PASCAL)
    monkeypatch.setattr(devices, "_run_tiny_kernel", lambda: None)
    assert choose_device("auto") == choose_device("cuda") == CUDA
    assert choose_device("cpu") == torch.device("cpu")


def test_the_doctor_names_card_and_precision(monkeypatch):
    monkeypatch.setattr(devices, "_run_tiny_kernel", lambda: None)
    pytorch, card, precision = check_device("auto", PASCAL)
    assert torch.__version__ in pytorch.detail
    assert card.detail == "NVIDIA GeForce GTX 1080 Ti, compute capability 6.1"
    assert precision.detail == "weights in float16, computed in float32"
    assert all(line.is_ok and not line.remedy for line in (pytorch, card, precision))


def test_the_doctor_says_what_to_install_for_pascal():
    _, card = check_device("auto", Card("GTX 1080 Ti", (6, 1), CU130))
    assert not card.is_ok
    assert "make run TORCH=cu126" in card.remedy


def test_a_machine_without_a_card_is_healthy_unless_one_was_asked_for(monkeypatch):
    monkeypatch.setattr(devices, "find_card", lambda: None)
    assert all(line.is_ok for line in check_device("auto"))
    assert not check_device("cuda")[-1].is_ok
    assert check_device("cuda")[-1].remedy


def test_weights_stored_in_half_compute_like_full_ones_of_the_same_values(base_models):
    unet = copy.deepcopy(base_models["sd15"].unet)
    rounded = copy.deepcopy(unet)
    for layer in rounded.modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            layer.to(torch.float16).to(torch.float32)
    size = sum(p.nbytes for p in unet.parameters())
    store_weights_in(unet, torch.float16, torch.float32)
    assert sum(p.nbytes for p in unet.parameters()) < 0.52 * size
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    conditioning = torch.randn(1, 77, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = rounded(latents, 500, conditioning).sample
    conditioning.requires_grad_()
    found = unet(latents, 500, conditioning).sample
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    assert conditioning.grad is not None
    assert conditioning.grad.abs().sum() > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_the_card_in_this_machine_works():
    assert choose_device("auto").type == "cuda"
    assert all(line.is_ok for line in check_device("auto"))
