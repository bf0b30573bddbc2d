"""Commands that make pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from dyod_studio.cli.output import (
    FPS,
    Back,
    Fps,
    Gif,
    Mp4,
    Reply,
    Sprite,
    check_moving,
    copy_out,
    describe,
    sampling_progress,
    table,
    write_moving,
)
from dyod_studio.cli.projects import ProjectRef
from dyod_studio.cli.session import check_writable, studio_of
from dyod_studio.errors import InvalidInputError
from dyod_studio.requests.sampling import (
    CONTROL,
    DEFAULT_NOVELTY,
    DEFAULT_SAMPLER,
    DEFAULT_STEPS,
    IMAGE,
    REGION,
    Codes,
    InterpolationRequest,
    Sampler,
    SampleRequest,
    SamplingProgress,
    SamplingRequest,
    Spacing,
    TraversalRequest,
    condition_inputs,
)
from dyod_studio.services.sampling.grid import Grid, read_axis, write_sheet
from dyod_studio.services.views import GenerationView

R = TypeVar("R", bound=SamplingRequest)
Draw = Callable[[str, R, Callable[[SamplingProgress], None]], list[GenerationView]]


def field_option(model: type[SamplingRequest], name: str, *names: str, **kwargs: Any) -> Any:
    """The option of a request's field, with the field's own words as help."""
    return typer.Option(*names, help=model.model_fields[name].description, **kwargs)


Out = Annotated[
    Path | None,
    typer.Option(help="Folder that gets a copy of the pictures; without it they are listed only."),
]
T0 = Annotated[float | None, field_option(SampleRequest, "t0")]
Seed = Annotated[int | None, field_option(SampleRequest, "seed")]
Steps = Annotated[int, field_option(SampleRequest, "num_inference_steps")]
Guidance = Annotated[float | None, field_option(SampleRequest, "guidance_scale")]
Prompt = Annotated[str | None, field_option(SampleRequest, "prompt")]
Use = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND",
        help="A trained part to draw with, and no others; repeat for more. "
        "Without it: the lora, else the inversion, and the vae, or what was trained instead.",
    ),
]
CodesFrom = Annotated[Codes, field_option(SampleRequest, "codes")]
Novelty = Annotated[float, field_option(SampleRequest, "novelty")]
StepSpacing = Annotated[Spacing, field_option(SampleRequest, "timestep_spacing", "--spacing")]
SamplerName = Annotated[Sampler, field_option(SampleRequest, "sampler")]
Strength = Annotated[float, field_option(SampleRequest, "adapter_strength")]


def check_folder(out: Path | None) -> None:
    """Refuse a folder that cannot be written before anything is drawn."""
    if out is not None:
        check_writable(out, option="--out")


def named(use: list[str] | None) -> tuple[str, ...] | None:
    """The parts that were named; None when none was."""
    return tuple(use) if use else None


def draw_pictures(draw: Draw[R], project: str, request: R, out: Path | None) -> Reply:
    """Draw with a progress bar, and say where the pictures are."""
    with sampling_progress("Drawing") as on_progress:
        views = draw(project, request, on_progress)
    files = [view.file for view in views] if out is None else copy_out(views, out)
    images = [describe(view, file) for view, file in zip(views, files, strict=True)]
    return Reply({"images": images}, "\n".join(str(file) for file in files))


Start = Annotated[
    Literal["prompt", "distribution", "image"],
    typer.Option("--from", help="What the reverse process starts from."),
]
Conditions = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A picture that an anl draws after; repeat for more, which take turns.",
    ),
]
ConditionText = Annotated[str | None, field_option(SampleRequest, "condition_text")]
MaskRate = Annotated[float, field_option(SampleRequest, "mask_rate")]
TextWeight = Annotated[float, field_option(SampleRequest, "text_weight")]
Region = Annotated[
    Path | None,
    typer.Option(
        metavar="MASK.png",
        help="Draw only this part of --image again: a picture of the same shape, bright there.",
    ),
]
Drawing = Annotated[
    Path | None,
    typer.Option(
        "--control",
        metavar="FILE",
        help="A drawing whose lines lead: dark on light, followed by what 'control' has learned.",
    ),
]
ControlScale = Annotated[float, field_option(SampleRequest, "control_scale")]
ControlUntil = Annotated[float, field_option(SampleRequest, "control_until")]
GridAxis = Annotated[
    str | None,
    typer.Option(
        metavar="AXIS=V,V [AXIS=V,V]",
        help="One picture for each value of one or two of t0, mask-rate, guidance, seed, parts, "
        "and a contact sheet of them; needs --out.",
    ),
]
SecondAxis = Annotated[
    list[str] | None,
    typer.Argument(metavar="[AXIS=V,V]", help="The second axis of --grid.", show_default=False),
]


def sample(
    ctx: typer.Context, project: ProjectRef, start: Start, axes: SecondAxis = None,
    image: Annotated[Path | None, typer.Option(help="Sketch or picture to start from.")] = None,
    region: Region = None, control: Drawing = None, control_scale: ControlScale = 1.0,
    control_until: ControlUntil = 1.0, t0: T0 = None,
    num: Annotated[int, field_option(SampleRequest, "num_images")] = 4,
    seed: Seed = None, steps: Steps = DEFAULT_STEPS, guidance: Guidance = None,
    prompt: Prompt = None, use: Use = None, strength: Strength = 1.0, codes: CodesFrom = "near",
    novelty: Novelty = DEFAULT_NOVELTY, spacing: StepSpacing = "trailing",
    sampler: SamplerName = DEFAULT_SAMPLER, condition: Conditions = None,
    condition_text: ConditionText = None, mask_rate: MaskRate = 0.0, text_weight: TextWeight = 0.5,
    grid: GridAxis = None, out: Out = None,
) -> Reply:  # fmt: skip
    """Make new pictures from the prompt, from the learned distribution, or from a picture."""
    check_folder(out)
    given = {IMAGE: image, REGION: region, CONTROL: control}
    files = {name: path for name, path in given.items() if path is not None}
    request = SampleRequest(
        kind=start, inputs=files | condition_inputs(condition or ()), num_images=num, t0=t0,
        control_scale=control_scale, control_until=control_until,
        seed=seed, num_inference_steps=steps, guidance_scale=guidance, prompt=prompt,
        use=named(use), adapter_strength=strength, condition_text=condition_text,
        mask_rate=mask_rate, text_weight=text_weight, codes=codes, novelty=novelty,
        timestep_spacing=spacing, sampler=sampler,
    )  # fmt: skip
    request.check_inputs()
    plan = _grid(request, grid, axes or ())
    if plan is None:
        return draw_pictures(studio_of(ctx).sampling.sample, project, request, out)
    if out is None:
        raise InvalidInputError("--grid writes a contact sheet: say where with --out FOLDER.")
    return _draw_grid(ctx, project, plan, out)


def _grid(request: SampleRequest, first: str | None, others: Sequence[str]) -> Grid | None:
    """The grid that was asked for, if one was."""
    if first is None:
        if others:
            raise InvalidInputError(f"Nothing is known of {others[0]!r}: axes follow --grid.")
        return None
    if len(others) > 1:
        raise InvalidInputError(f"A grid has one axis or two, got {1 + len(others)}.")
    return Grid(request, read_axis(first), *(read_axis(text) for text in others))


def _draw_grid(ctx: typer.Context, project: str, grid: Grid, out: Path) -> Reply:
    """Draw every cell, copy the pictures out and lay the contact sheet beside them."""
    with sampling_progress("Drawing") as on_progress:
        made = studio_of(ctx).sampling.grid(project, grid, on_progress)
    files = copy_out(made.views, out)
    sheet = write_sheet(made, out / f"{files[0].name.partition('_')[0]}_grid.png")
    images = [
        {"cell": caption, **describe(view, file)}
        for caption, view, file in zip(made.captions, made.views, files, strict=True)
    ]
    return Reply({"images": images, "sheet": sheet}, "\n".join(map(str, [*files, sheet])))


def register(app: typer.Typer) -> None:
    """Add ``sample``, ``interpolate``, ``traverse``, ``coordinates``."""
    for command in (sample, interpolate, traverse, coordinates):
        app.command(command.__name__)(command)


def interpolate(
    ctx: typer.Context,
    project: ProjectRef,
    a: Annotated[str, typer.Option("--a", metavar="FILE|seed:N", help="One end.")],
    b: Annotated[str, typer.Option("--b", metavar="FILE|seed:N", help="The other end.")],
    frames: Annotated[int, typer.Option(help="How many pictures, ends included.")] = 9,
    free_noise: Annotated[
        bool, typer.Option("--free-noise", help="Draw new noise for each frame.")
    ] = False,
    spherical: Annotated[
        bool, typer.Option("--spherical", help="Move along the sphere, not the line.")
    ] = False,
    t0: T0 = None, seed: Seed = None, steps: Steps = DEFAULT_STEPS, guidance: Guidance = None,
    prompt: Prompt = None, use: Use = None, strength: Strength = 1.0,
    codes: CodesFrom = "near",
    novelty: Novelty = DEFAULT_NOVELTY,
    spacing: StepSpacing = "trailing", sampler: SamplerName = DEFAULT_SAMPLER, out: Out = None,
    gif: Gif = None, mp4: Mp4 = None, sprite: Sprite = None, fps: Fps = FPS, back: Back = False,
) -> Reply:  # fmt: skip
    """Make the pictures between two pictures or seeds."""
    check_folder(out)
    target = check_moving(gif, mp4, sprite)
    request = InterpolationRequest(
        a=a, b=b, num_frames=frames, free_noise=free_noise, is_spherical=spherical, t0=t0,
        seed=seed, num_inference_steps=steps, guidance_scale=guidance, prompt=prompt,
        use=named(use), adapter_strength=strength, codes=codes, novelty=novelty,
        timestep_spacing=spacing, sampler=sampler,
    )  # fmt: skip
    reply = draw_pictures(studio_of(ctx).sampling.interpolate, project, request, out)
    return write_moving(reply, target, fps, is_back=back)


def traverse(
    ctx: typer.Context,
    project: ProjectRef,
    coordinate: Annotated[
        int, typer.Option(help="Rank of the coordinate; 0 tells the pictures apart most.")
    ],
    span: Annotated[float, typer.Option(help="How far to each side.")] = 3.0,
    frames: Annotated[int, typer.Option(help="How many pictures.")] = 7,
    t0: T0 = None, seed: Seed = None, steps: Steps = DEFAULT_STEPS, guidance: Guidance = None,
    prompt: Prompt = None, use: Use = None, strength: Strength = 1.0,
    codes: CodesFrom = "near",
    novelty: Novelty = DEFAULT_NOVELTY,
    spacing: StepSpacing = "trailing", sampler: SamplerName = DEFAULT_SAMPLER, out: Out = None,
    gif: Gif = None, mp4: Mp4 = None, sprite: Sprite = None, fps: Fps = FPS, back: Back = False,
) -> Reply:  # fmt: skip
    """Move one coordinate of the code and draw what it changes."""
    check_folder(out)
    target = check_moving(gif, mp4, sprite)
    request = TraversalRequest(
        coordinate=coordinate, span=span, num_frames=frames, t0=t0, seed=seed,
        num_inference_steps=steps, guidance_scale=guidance, prompt=prompt, use=named(use),
        adapter_strength=strength, codes=codes, novelty=novelty, timestep_spacing=spacing,
        sampler=sampler,
    )  # fmt: skip
    reply = draw_pictures(studio_of(ctx).sampling.traverse, project, request, out)
    return write_moving(reply, target, fps, is_back=back)


def coordinates(ctx: typer.Context, project: ProjectRef) -> Reply:
    """List the coordinates of the initial VAE, the one that tells most apart first."""
    views = studio_of(ctx).sampling.coordinates(project)
    rows = [(view.rank, view.index, f"{view.kl:.3f}") for view in views]
    return Reply({"coordinates": views}, table(("rank", "index", "kl"), rows))
