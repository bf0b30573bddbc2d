"""What every training method takes on a base model as large as Stable Diffusion 1.5, at 512 x 512.

``python -m tools.method_costs`` prints the trainable parameters and the plan for a card with
``--limit-mb`` free. With ``--measure`` it also makes real steps of the studio's own loop, each
method in a process of its own: on the card under that cap, with what the plan changes to fit; else
on the CPU, one step. The base has the real shape and random weights; nothing is downloaded. Latents
and CLIP embeddings are random too: they are cached before training, so that neither the
autoencoder nor a CLIP is at work while it trains.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyod_studio.errors import OutOfMemoryError
from dyod_studio.models.anl import AnlAdapter, AnlShape, with_anl
from dyod_studio.models.base import BaseModel
from dyod_studio.models.base_size import STABLE_DIFFUSION
from dyod_studio.models.control import new_control
from dyod_studio.models.custom_diffusion import CrossAttentionChange, with_custom_diffusion
from dyod_studio.models.devices import Card, DtypePolicy, choose_device, dtype_policy, find_card
from dyod_studio.models.memory import free_memory_mb, limit_memory, peak_memory_mb
from dyod_studio.models.memory_plan import MemoryPlan
from dyod_studio.models.placeholder import with_placeholder
from dyod_studio.models.rare_tokens import Subject
from dyod_studio.models.whole_unet import with_own_unet
from dyod_studio.training import lora
from dyod_studio.training.anl import VIEWS, AnlTask
from dyod_studio.training.baselines import BaselineTask
from dyod_studio.training.control import ControlTask
from dyod_studio.training.custom_diffusion import CustomDiffusionTask
from dyod_studio.training.dreambooth import DreamboothTask, learner_of
from dyod_studio.training.footprints import footprint_of
from dyod_studio.training.initial_vae import VaeTask
from dyod_studio.training.loop import TrainTask, accelerator_for, train
from dyod_studio.training.planning import plan_run
from dyod_studio.training.registry import MethodConfig, load_method, parse_config
from dyod_studio.training.run import Adjustments, Run, StepDone
from dyod_studio.training.textual_inversion import InversionTask, initial_vectors
from tools.sized_base import build_base

PASCAL = Card("GTX 1080 Ti", (6, 1), ("sm_60",))
CLIP_WIDTH, NUM_PICTURES = 768, 2
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "inversion": ("inversion", {}),
    "lora": ("lora", {}),
    "vae": ("vae", {}),
    "dreambooth": ("dreambooth", {"class_noun": "dog"}),
    "custom-diffusion": ("custom-diffusion", {"class_noun": "dog"}),
    "anl": ("anl", {}),
    "control": ("control", {}),
    "control, a control net": ("control", {"network": "controlnet"}),
    "anl, rank and width 64": ("anl", {"rank": 64, "width": 64}),
    "dreambooth, all layers": ("dreambooth", {"class_noun": "dog", "layers": "all"}),
    "full-finetune": ("full-finetune", {}),
    "scratch": ("scratch", {}),
}
Built = tuple[BaseModel, TrainTask]


@dataclass(frozen=True, slots=True)
class Order:
    """What is measured: a row of the table on a device, for so many steps."""

    row: str
    device: str
    limit_mb: int
    steps: int
    is_pascal: bool

    @property
    def config(self) -> MethodConfig:
        method, values = ROWS[self.row]
        return parse_config(method, {"batch_size": 1, "steps": self.steps + 1} | values)

    def plan(self, device: str, free_mb: float) -> tuple[MemoryPlan, Adjustments]:
        return plan_run(ROWS[self.row][0], self.config, STABLE_DIFFUSION, device, free_mb)


def _inversion(stack: ExitStack, base: BaseModel, config: Any, latents: Any) -> Built:
    vectors = initial_vectors(base, "", config.num_vectors, config.seed)
    extended = stack.enter_context(with_placeholder(base, config.token, vectors))
    return extended, InversionTask(extended, latents, config)


def _vae(stack: ExitStack, base: BaseModel, config: Any, latents: Any) -> Built:
    return base, VaeTask(base, latents, config)


def _lora(stack: ExitStack, base: BaseModel, config: Any, latents: Any) -> Built:
    learner = stack.enter_context(lora.learner_of(config, base))
    return learner, lora.LoraTask(learner, latents, ["a dog"] * len(latents), config)


def _control(stack: ExitStack, base: BaseModel, config: Any, latents: Any) -> Built:
    network = config.network_for(base.num_unet_parameters)
    follower = new_control(base, network, config.seed)
    pixels = np.zeros((len(latents), base.resolution, base.resolution, 3), dtype=np.uint8)
    captions = ["a dog"] * len(latents)
    return base, ControlTask(base, follower, latents, pixels, captions, config)


def _dreambooth(stack: ExitStack, base: BaseModel, config: Any, latents: Any) -> Built:
    learner = stack.enter_context(learner_of(config, base))
    subject = Subject("sks", "a sks dog", "a dog", None)
    return learner, DreamboothTask(learner, subject, latents, latents, config)


def _custom_diffusion(stack: ExitStack, base: BaseModel, config: Any, latents: Any) -> Built:
    width = base.text_encoder.get_input_embeddings().embedding_dim
    vectors = torch.zeros(config.num_vectors, width)
    extended = stack.enter_context(with_placeholder(base, config.token, vectors))
    change = CrossAttentionChange(base.unet)
    stack.enter_context(with_custom_diffusion(extended, change))
    return extended, CustomDiffusionTask(extended, change, latents, latents, config)


def _anl(stack: ExitStack, base: BaseModel, config: Any, latents: Any) -> Built:
    adapter = AnlAdapter(base.unet, AnlShape(CLIP_WIDTH, config.rank, config.width))
    stack.enter_context(with_anl(base, adapter))
    embeddings = _random(NUM_PICTURES * VIEWS, CLIP_WIDTH).numpy() / CLIP_WIDTH**0.5
    return base, AnlTask(base, adapter, latents, embeddings, config)


def _baseline(stack: ExitStack, base: BaseModel, config: Any, latents: Any) -> Built:
    seed = config.seed if config.is_from_scratch else None
    own = stack.enter_context(with_own_unet(base, seed))
    return own, BaselineTask(own, latents, config)


TASKS: dict[str, Callable[[ExitStack, BaseModel, Any, Any], Built]] = {
    "inversion": _inversion,
    "lora": _lora,
    "vae": _vae,
    "dreambooth": _dreambooth,
    "custom-diffusion": _custom_diffusion,
    "anl": _anl,
    "control": _control,
    "full-finetune": _baseline,
    "scratch": _baseline,
}


@contextmanager
def built(order: Order, adjustments: Adjustments) -> Iterator[Built]:
    """The base model with what a method trains, ready for its first step."""
    device = torch.device(order.device)
    limit_memory(order.device, order.limit_mb)
    policy = dtype_policy(device, PASCAL if order.is_pascal else None)
    base = build_base(policy if device.type == "cuda" else DtypePolicy(), device)
    with ExitStack() as stack:
        latents = _random(NUM_PICTURES, *base.latent_shape).numpy()
        learner, task = TASKS[ROWS[order.row][0]](stack, base, order.config, latents)
        recompute = adjustments.gradient_checkpointing
        stack.enter_context(learner.sparing_memory(recompute=recompute))
        yield learner, task


def measure(order: Order) -> dict[str, Any]:
    """Make the steps; peak memory of this process, seconds a step, the parameters counted."""
    free_mb = free_memory_mb(order.device, order.limit_mb)
    _, adjustments = order.plan(order.device, free_mb)
    with built(order, adjustments) as (base, task), tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), adjustments=adjustments)
        events = train(task, order.config, accelerator_for(base), run)
        times = [time.perf_counter()]
        try:
            for event in islice(events, order.steps):
                times.append(time.perf_counter())
                loss = event.loss if isinstance(event, StepDone) else None
        except OutOfMemoryError as exc:
            return {"error": str(exc)}
        seconds = sorted(later - earlier for earlier, later in zip(times, times[1:], strict=False))
        return {
            "num_trained": sum(weight.numel() for weight in task.parameters()),
            "peak_mb": peak_memory_mb(order.device),
            "step_s": seconds[len(seconds) // 2],
            "loss": loss,
        }


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def measured(order: Order) -> dict[str, Any]:
    """The same in a process of its own, or why not."""
    plan, _ = order.plan(order.device, free_memory_mb(order.device, order.limit_mb))
    if not plan.fits:
        return {"error": f"left out: {plan.free_mb:,.0f} MB are free"}
    command = [sys.executable, "-m", "tools.method_costs", "--order", json.dumps(asdict(order))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["it was killed"])[-1]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def row_of(order: Order, *, is_measured: bool) -> str:
    """One line of the table."""
    plan, adjustments = order.plan("cuda", order.limit_mb)
    method, _ = ROWS[order.row]
    trained = footprint_of(
        load_method(method).info, order.config.model_dump(), STABLE_DIFFUSION
    ).num_trained
    fallbacks = ["recomputed"] * adjustments.gradient_checkpointing
    fits = f"{'fits' if plan.fits else 'does not fit'}{', '.join(['', *fallbacks])}"
    cells = [order.row, trained, f"{plan.peak_memory_mb:,.0f} MB, {fits}"]
    if is_measured:
        here, _ = order.plan(order.device, free_memory_mb(order.device, order.limit_mb))
        found = measured(order)
        cells[1] = found.get("num_trained", trained)
        cells.append(f"{here.peak_memory_mb:,.0f} MB")
        cells += (
            [found["error"], ""]
            if "error" in found
            else [f"{found['peak_mb']:,.0f} MB", f"{found['step_s']:.2f}"]
        )
    cells[1] = f"{cells[1]:,}" if cells[1] else "small"
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--measure", action="store_true", help="make real steps as well")
    parser.add_argument("--limit-mb", type=int, default=11_000, help="what a card may give")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--steps", type=int, help="1 on the CPU, 8 on a card")
    parser.add_argument("--own-precision", action="store_true", help="not that of a 1080 Ti")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--order", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.order:
        print(json.dumps(measure(Order(**json.loads(options.order)))))
        return
    device = choose_device(options.device).type
    steps = options.steps or (1 if device == "cpu" else 8)
    card = find_card()
    titles = ["method", "trained", f"planned for a card of {options.limit_mb:,} MB"]
    if options.measure:
        where = card.name if device == "cuda" and card is not None else "this CPU"
        titles += ["planned here", f"measured on {where}", "s a step"]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for row in options.rows:
        order = Order(row, device, options.limit_mb, steps, not options.own_precision)
        print(row_of(order, is_measured=options.measure), flush=True)


if __name__ == "__main__":
    main()
