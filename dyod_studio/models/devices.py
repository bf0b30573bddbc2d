"""Where tensors live and how precisely: the card, the installed PyTorch, and what fits both.

A PyTorch without kernels for a card still reports that CUDA is available, and fails at the first
kernel with an error nobody understands. So the card is compared with the build, one tiny kernel is
run, and whatever is wrong is said in a sentence with its remedy.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dyod_studio.errors import DeviceError

Capability = tuple[int, int]
"""CUDA compute capability: (6, 1) is Pascal, (8, 0) the first with bfloat16."""

FIRST_OF_CUDA_13: Capability = (7, 5)
FIRST_OF_CUDA_12: Capability = (5, 0)
FIRST_WITH_BFLOAT16: Capability = (8, 0)
BROKEN_HALF = re.compile(r"GTX 16\d\d|T400|T500|T550|T600|T1000|T1200|MX450|MX550", re.IGNORECASE)
"""Turing cards without tensor cores: half precision turns pictures black."""


@dataclass(frozen=True, slots=True)
class Card:
    """A CUDA card and the architectures that the installed PyTorch was built for."""

    name: str
    capability: Capability
    arch_list: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DtypePolicy:
    """Precision of a base model's U-Net.

    ``storage`` is what its weights are kept in, ``compute`` what they are used in. Whatever is
    trained stays in ``trainable``.
    """

    storage: torch.dtype = torch.float32
    compute: torch.dtype = torch.float32
    trainable: torch.dtype = torch.float32


@dataclass(frozen=True, slots=True)
class DeviceFinding:
    """One line of the doctor's report; ``remedy`` is empty when all is well."""

    name: str
    is_ok: bool
    detail: str
    remedy: str = ""


def choose_device(setting: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``; ``auto`` takes a card that works.

    Raises:
        DeviceError: ``cuda`` was asked for and there is no card that works.
    """
    if setting == "cpu":
        return torch.device("cpu")
    card = find_card()
    problem = "There is no CUDA card that PyTorch can see." if card is None else card_problem(card)
    if problem is None:
        return torch.device("cuda")
    if setting == "cuda":
        raise DeviceError(problem)
    return torch.device("cpu")


def dtype_policy(device: torch.device, card: Card | None = None) -> DtypePolicy:
    """Return the precision that is safe on the device.

    Below capability 8.0 weights are kept in float16 and used in float32: Pascal computes float16
    slowly, and gradients that pass through a float16 U-Net vanish without loss scaling. bfloat16
    is judged by capability, for PyTorch claims it on older cards, where it is emulated.

    Args:
        card: by default the one in this machine.
    """
    card = card or (find_card() if device.type == "cuda" else None)
    if card is None or BROKEN_HALF.search(card.name):
        return DtypePolicy()
    if card.capability >= FIRST_WITH_BFLOAT16:
        return DtypePolicy(storage=torch.bfloat16, compute=torch.bfloat16)
    return DtypePolicy(storage=torch.float16)


def find_card() -> Card | None:
    """Return the first CUDA card, or None."""
    if not torch.cuda.is_available():
        return None
    return Card(
        name=torch.cuda.get_device_name(0),
        capability=torch.cuda.get_device_capability(0),
        arch_list=tuple(torch.cuda.get_arch_list()),
    )


def has_kernels_for(capability: Capability, arch_list: Sequence[str]) -> bool:
    """Whether a build for these architectures runs on a card of this capability.

    Machine code (``sm_60``) runs on its own major version from its minor version on; portable code
    (``compute_60``) on anything newer.
    """
    for arch in arch_list:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", arch)
        if match is None:
            continue
        built_for = (int(match[2]), int(match[3]))
        is_same_major = built_for[0] == capability[0]
        if built_for <= capability and (match[1] == "compute" or is_same_major):
            return True
    return False


def card_problem(card: Card, run_kernel: Callable[[], None] | None = None) -> str | None:
    """Return what keeps this card from computing, with the remedy, or None when it works.

    Args:
        run_kernel: raises RuntimeError when the card fails; by default a tiny sum on it.
    """
    if not has_kernels_for(card.capability, card.arch_list):
        return (
            f"PyTorch {torch.__version__} has no kernels for the {card.name} (compute capability "
            f"{_dotted(card.capability)}): {_remedy(card.capability)}."
        )
    try:
        (run_kernel or _run_tiny_kernel)()
    except RuntimeError as exc:
        first_line = str(exc).strip().splitlines()[0]
        return (
            f"The {card.name} failed a first computation ({first_line}): restart the machine, or "
            "set DYOD_DEVICE=cpu."
        )
    return None


def check_device(setting: str, card: Card | None = None) -> list[DeviceFinding]:
    """Return what the doctor says of PyTorch, the card and its precision.

    Args:
        card: by default the one in this machine.
    """
    card = card or find_card()
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only"
    pytorch = DeviceFinding("PyTorch", True, f"{torch.__version__} ({build})")
    if card is None:
        return [pytorch, _no_card(setting)]
    shown = f"{card.name}, compute capability {_dotted(card.capability)}"
    if problem := card_problem(card):
        return [pytorch, DeviceFinding("Card", False, shown, problem)]
    policy = dtype_policy(torch.device("cuda"), card)
    precision = f"weights in {_short(policy.storage)}, computed in {_short(policy.compute)}"
    return [
        pytorch,
        DeviceFinding("Card", True, shown),
        DeviceFinding("Precision", True, precision),
    ]


def _no_card(setting: str) -> DeviceFinding:
    has_driver = Path("/proc/driver/nvidia").exists()
    if torch.version.cuda is None and has_driver:
        remedy = "Start once with `make run TORCH=cu126` to use the NVIDIA card."
        return DeviceFinding("Card", setting != "cuda", "this PyTorch cannot use one", remedy)
    if setting == "cuda":
        remedy = "Set DYOD_DEVICE=auto, or check the card's driver."
        return DeviceFinding("Card", False, "no CUDA card found", remedy)
    return DeviceFinding("Card", True, "none; everything is computed on the CPU")


def _remedy(capability: Capability) -> str:
    if capability < FIRST_OF_CUDA_12:
        return "it is too old for this PyTorch, so set DYOD_DEVICE=cpu"
    if capability < FIRST_OF_CUDA_13:
        return "start with `make run TORCH=cu126`"
    return "start with `make run`, without TORCH=cu126"


def _run_tiny_kernel() -> None:
    torch.ones(8, device="cuda").sum().item()


def _dotted(capability: Capability) -> str:
    return f"{capability[0]}.{capability[1]}"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
