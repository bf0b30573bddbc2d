"""Subject and prompt fidelity: DreamBooth against inversion on a few pictures of one thing.

CLIP-I and CLIP-T of arXiv:2208.12242, sec. 4.3, with the base's own CLIP; its third measure, DINO,
needs a DINO, for which CLIP-I stands in.
"""

import argparse

from dyod_studio.evaluation.results import Figures
from dyod_studio.models.artifacts import load_artifact
from dyod_studio.models.customised import SamplingConfig
from dyod_studio.services.evaluation.report import figure_text
from dyod_studio.store.artifacts import ArtifactRepository
from dyod_studio.store.files import SAFETENSORS
from tools.reproduce.bench import Bench
from tools.reproduce.drawing import compared, draw, own_base, squares
from tools.reproduce.pages import markdown_table, write_rows, write_section

TEMPLATES = ("{}", "a blue {}", "a {} on a red background", "two {}")
FIGURES = ("clip_i", "clip_t", "diversity")
SHOWN = 8
CLASS_PICTURES = 60
"""Of the base model's own, for prior preservation."""


def run(bench: Bench, asked: argparse.Namespace) -> None:
    """Train both on the subject and draw every prompt with each."""
    if asked.subject is None:
        raise SystemExit("Give --subject: a folder of 4 to 6 pictures of one thing.")
    real = squares(asked.subject, own_base(bench).resolution)
    project = bench.project(f"subject {asked.subject.name}", asked.subject)
    bench.train(project.id, "inversion", {"steps": round(400 * asked.train)})
    own = {"class_noun": asked.noun, "num_class_pictures": round(CLASS_PICTURES * asked.train)}
    bench.train(project.id, "dreambooth", {"steps": round(400 * asked.train), **own})
    rows, strips, facts = [], [("subject", real[:SHOWN])], {}
    for method in ("dreambooth", "inversion"):
        name = _called(bench, project.id, method)
        told: list[Figures] = []
        for template in TEMPLATES:
            reverse = SamplingConfig(
                num_inference_steps=asked.steps, prompt=template.format(name),
                guidance_scale=asked.guidance,
            )  # fmt: skip
            each = max(4, asked.num // len(TEMPLATES))
            made = draw(bench, project.id, (method,), "prompt", reverse, num=each)
            told.append(compared(bench, real, made, FIGURES, template.format(asked.noun)))
            strips.append((f"{method[:9]}: {template.format('S')}", made[:SHOWN]))
        means = {figure: _mean(told, figure) for figure in FIGURES}
        facts[method] = means
        rows.append((method, *(f"{means[figure]:.3f}" for figure in FIGURES)))
        rows += [
            (f"... {template}", *(figure_text(found.get(figure)) for figure in FIGURES))
            for template, found in zip(TEMPLATES, told, strict=True)
        ]
    write_rows(strips, asked.out / "dreambooth.webp")
    better = max(facts, key=lambda method: facts[method]["clip_i"])
    body = (
        f"{len(real)} pictures of the subject, {round(400 * asked.train)} steps each; the papers "
        "find DreamBooth nearer to it.\n\n"
        f"{markdown_table(('', 'CLIP-I', 'CLIP-T', 'diversity'), rows)}\n\n"
        f"Nearer to the subject here: {better}.\n\n"
        f"![the subject and what both draw]({asked.out.name}/dreambooth.webp)"
    )
    title = "Subject and prompt: DreamBooth against inversion"
    write_section(asked.out, "dreambooth", title, body, facts)


def _called(bench: Bench, project: int, method: str) -> str:
    """What stands for the subject in a prompt."""
    if method == "inversion":
        return bench.studio.projects.get(project).token
    with bench.storage.database.session() as session:
        row = ArtifactRepository(session).latest(project, method)
        assert row is not None  # it was trained a moment ago
        part = load_artifact(bench.storage.files.path(row.sha256, SAFETENSORS), method)
    return str(part.facts["prompt"]).removeprefix("a ")


def _mean(told: list[Figures], name: str) -> float:
    return sum(found[name].value for found in told) / len(told)
