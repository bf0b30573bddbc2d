"""The starter tool on a handful of icons drawn here: no network, tiny widths."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, StableDiffusionPipeline

from tools.starter.__main__ import main
from tools.starter.autoencoder import grow, make_autoencoder
from tools.starter.captions import Look, captions, pair_caption
from tools.starter.clip import contrastive_loss, outlined
from tools.starter.colours import main_colour, turn_hue
from tools.starter.compose import mosaic
from tools.starter.figures import retrieval
from tools.starter.heldout import draw_held_out, read_held_out
from tools.starter.latents import fold_whitening, measure
from tools.starter.lines import paint_lines
from tools.starter.loop import Schedule, Stage
from tools.starter.names import is_kept, sampling_weight
from tools.starter.packs import find_pack, read_pack
from tools.starter.pictures import read_rows
from tools.starter.render import render_icon
from tools.starter.tokenizer import MAX_TOKENS, train_tokenizer
from tools.starter.travel import read_data, write_data
from tools.starter.unet import (
    clean_picture_loss,
    make_scheduler,
    stratified_timesteps,
    velocity_loss,
)

SHAPES = {
    "red-apple": '<circle cx="16" cy="18" r="12" fill="#d22"/>',
    "cat": '<path d="M4 28V4l8 8h8l8-8v24z" fill="#fa0"/>',
    "house": '<path d="M4 30V14L16 4l12 10v16z" fill="#84c"/>',
    "pizza": '<path d="M4 4h24L16 30z" fill="#fc4"/>',
    "blue-heart": '<path d="M16 30L2 12l7-8 7 6 7-6 7 8z" fill="#26d"/>',
    "teapot": '<rect x="6" y="10" width="20" height="16" fill="#2a6"/>',
}


def write_pack(folder: Path, *, width: float) -> None:
    """A pack in the iconify layout; the line width makes its style."""
    folder.mkdir(parents=True)
    icons = {
        name: {"body": f'<g stroke="#222" stroke-width="{width}">{body}</g>'}
        for name, body in SHAPES.items()
    }
    icons["flag-nowhere"] = {"body": "<path/>"}
    pack = {"prefix": folder.name, "icons": icons, "width": 32, "height": 32}
    (folder / "icons.json").write_text(json.dumps(pack))
    metadata = {"categories": {"Food & Drink": [*SHAPES, "flag-nowhere"]}}
    (folder / "metadata.json").write_text(json.dumps(metadata))


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp("starter")
    for key, width in (("noto", 0.0), ("twemoji", 1.0), ("fluent-emoji", 2.0), ("openmoji", 3.0)):
        write_pack(work_dir / "packs" / key, width=width)
    return work_dir


@pytest.fixture(scope="module")
def toy(work_dir: Path) -> Path:
    """A base model built by the command in seconds; the model's folder."""
    out = work_dir / "model"
    held_out = work_dir / "heldout.json"
    held_out.write_text(json.dumps({"names": [], "pairs": [["twemoji", "cat"]]}))
    options = ["--packs", "noto", "twemoji", "fluent-emoji", "openmoji", "--toy", "--device", "cpu"]
    options += ["--work-dir", str(work_dir), "--out", str(out), "--held-out", str(held_out)]
    options += ["--budget-minutes", "0.1", "--count", "4", "--steps", "2", "--threads", "1"]
    main(["build", *options])
    return out


def test_one_command_makes_a_model_that_the_stock_pipeline_loads_and_samples(toy):
    pipeline = StableDiffusionPipeline.from_pretrained(
        toy, safety_checker=None, local_files_only=True, dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline("a red apple", num_inference_steps=2).images[0]
    assert image.size == (32, 32)
    assert pipeline.image_encoder is not None
    assert pipeline.tokenizer.model_max_length == MAX_TOKENS
    assert pipeline.scheduler.config.prediction_type == "v_prediction"


def test_the_build_leaves_figures_a_sheet_and_a_card_that_names_every_licence(toy):
    figures = json.loads((toy / "figures.json").read_text())
    assert {"psnr_held_out_db", "psnr_openmoji_db", "unet_call_s"} <= figures.keys()
    assert (toy / "sheet.webp").stat().st_size > 0
    card = (toy / "README.md").read_text()
    for licence in ("Apache-2.0", "CC-BY-4.0", "MIT", "CC-BY-SA-4.0"):
        assert licence in card


def test_the_icons_travel_in_one_small_file_and_come_out_the_same(work_dir, tmp_path):
    path = tmp_path / "icons.tar.xz"
    write_data([find_pack("noto"), find_pack("openmoji")], work_dir / "packs", path)
    read_data(path, tmp_path / "packs")
    sent, arrived = (read_pack(folder / "packs" / "noto") for folder in (work_dir, tmp_path))
    assert arrived.categories == sent.categories
    assert arrived.icons == {k: v for k, v in sent.icons.items() if k != "flag-nowhere"}


def test_a_finished_model_is_trained_on_in_a_new_work_folder(toy, work_dir, tmp_path):
    before = (toy / "training.jsonl").read_text()
    main(["adopt", "--toy", "--work-dir", str(tmp_path), "--out", str(toy)])
    assert (tmp_path / "log.jsonl").read_text() == before
    weights = torch.load(tmp_path / "joint.pt", weights_only=True)["average"]
    shipped = StableDiffusionPipeline.from_pretrained(
        toy, safety_checker=None, local_files_only=True, dtype=torch.float32
    )
    for name, weight in shipped.unet.state_dict().items():
        torch.testing.assert_close(weights[f"unet.{name}"], weight)
    shutil.copytree(work_dir / "packs", tmp_path / "packs")
    options = ["--packs", "noto", "twemoji", "fluent-emoji", "openmoji", "--toy", "--device", "cpu"]
    options += ["--work-dir", str(tmp_path), "--out", str(tmp_path / "model"), "--threads", "1"]
    options += ["--held-out", str(work_dir / "heldout.json"), "--count", "4", "--steps", "2"]
    options += ["--budget-minutes", "0", "--stage-minutes", "joint=0.05"]
    main(["build", "--resume", *options])
    after = (tmp_path / "model" / "training.jsonl").read_text()
    earlier, samples = (
        {row["stage"]: row["samples"] for row in map(json.loads, text.splitlines())}
        for text in (before, after)
    )
    assert samples["joint"] > earlier["joint"]
    assert {**samples, "joint": 0} == {**earlier, "joint": 0}


def test_the_decoder_alone_is_trained_on_and_latents_stay_what_they_were(toy, work_dir, tmp_path):
    model = shutil.copytree(toy, tmp_path / "model")
    for folder in ("packs", "corpus"):
        shutil.copytree(work_dir / folder, tmp_path / folder)
    main(["adopt", "--toy", "--work-dir", str(tmp_path), "--out", str(model)])
    options = ["--packs", "noto", "twemoji", "fluent-emoji", "openmoji", "--toy", "--device", "cpu"]
    options += ["--work-dir", str(tmp_path), "--out", str(model), "--threads", "1"]
    options += ["--held-out", str(work_dir / "heldout.json"), "--stage-minutes", "decoder=0.05"]
    main(["decoder", *options])
    before, after = (
        AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).state_dict()
        for folder in (toy, model)
    )
    changed = {name.split(".")[0] for name in before if not before[name].equal(after[name])}
    assert "decoder" in changed
    assert changed <= {"decoder", "post_quant_conv"}
    of_model, of_toy = (folder / "vae" / "config.json" for folder in (model, toy))
    assert of_model.read_text() == of_toy.read_text()


def test_candidates_are_compared_on_pictures_that_none_has_seen(toy, work_dir):
    options = ["--toy", "--device", "cpu", "--minutes", "0.005", "--work-dir", str(work_dir)]
    main(["compare", *options])
    rows = json.loads((work_dir / "comparison.json").read_text())
    assert {row["predicts"] for row in rows} == {"v_prediction", "epsilon"}
    assert all(row["samples"] > 0 and np.isfinite(row["loss"]) for row in rows)


def test_an_exact_denoiser_has_no_clean_picture_loss_whatever_it_predicts():
    scheduler = make_scheduler()
    latents, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    timesteps = torch.tensor([10, 500, 990])
    alphas = scheduler.alphas_cumprod[timesteps]
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    for predicted, predicts in ((velocity, "v_prediction"), (noise, "epsilon")):
        loss = clean_picture_loss(predicted, latents, noise, alphas, predicts)
        torch.testing.assert_close(loss, torch.tensor(0.0), atol=1e-5, rtol=0)


def test_strokes_are_painted_thin_and_their_shapes_filled():
    svg = '<svg><path fill="none" stroke="currentColor" stroke-width="2" d="M0 0h9v9z"/></svg>'
    painted = [paint_lines(svg, random.Random(seed)) for seed in range(20)]
    assert all("currentColor" not in text and text.count("fill=") == 1 for text in painted)
    assert any('fill="#' in text for text in painted)
    assert all(0.4 < float(text.split('stroke-width="')[1].split('"')[0]) < 1.4 for text in painted)


def test_an_outline_is_dark_where_the_brightness_changes_and_nowhere_else():
    image = torch.ones(1, 3, 8, 8)
    image[:, :, :, 4:] = 0
    drawn = outlined(image)
    assert (drawn[..., 3:5] == -1).all()
    torch.testing.assert_close(drawn[..., :3], image[..., :3])
    torch.testing.assert_close(drawn[..., 5:], image[..., 5:])


def test_a_mosaic_shows_four_icons_at_half_size():
    icons = torch.zeros(4, 4, 8, 8)
    for k in range(4):
        icons[k] = (k + 1) / 4
    picture = mosaic(icons)
    assert picture.shape == (1, 4, 8, 8)
    corners = picture[0, 3, [0, 0, 7, 7], [0, 7, 0, 7]]
    torch.testing.assert_close(corners, torch.tensor([0.25, 0.5, 0.75, 1.0]))


def test_a_checkpoint_that_was_begun_on_something_else_is_not_gone_on_from(tmp_path):
    def train(stands_on: str, budget_s: float) -> Stage:
        schedule = Schedule("line", budget_s, learning_rate=0.1, batch_size=1)
        stage = Stage(torch.nn.Linear(1, 1), schedule, tmp_path, stands_on)
        stage.run(lambda model, step: model(torch.ones(1, 1)).square().sum())
        return stage

    done = train("a", 0.1)
    assert train("a", 0.0).progress.step == done.progress.step
    assert train("b", 0.0).progress.step == 0


def test_held_out_pairs_and_the_test_pack_are_not_among_the_training_pictures(toy, work_dir):
    rows = read_rows(work_dir)
    assert rows
    assert all(row.pack != "openmoji" for row in rows)
    assert not [row for row in rows if row.pack == "twemoji" and "cat" in row.name.split("+")]


def test_every_stage_writes_samples_per_second_and_loss(toy, work_dir):
    rows = [json.loads(line) for line in (work_dir / "log.jsonl").read_text().splitlines()]
    stages = ("autoencoder-small", "autoencoder", "decoder", "clip", "unet", "joint", "clip-image")
    assert tuple(dict.fromkeys(row["stage"] for row in rows)) == stages
    assert all(row["samples_per_s"] > 0 and np.isfinite(row["loss"]) for row in rows)


def test_a_stage_goes_on_where_its_checkpoint_stands(tmp_path):
    schedule = Schedule("line", budget_s=0.2, learning_rate=0.1, batch_size=1, ema_decay=0.9)
    first = Stage(torch.nn.Linear(1, 1), schedule, tmp_path)
    first.run(lambda model, step: model(torch.ones(1, 1)).square().sum())
    second = Stage(torch.nn.Linear(1, 1), schedule, tmp_path)
    second.run(lambda model, step: pytest.fail("the budget is used up"))
    assert second.progress.step == first.progress.step
    assert torch.equal(second.model.weight, first.model.weight)


def test_two_replicas_make_the_same_update_as_one_model_on_both_halves(tmp_path):
    weights = []
    for replicas in (1, 2):
        torch.manual_seed(0)
        model = torch.nn.Linear(2, 1)
        folder = tmp_path / str(replicas)
        folder.mkdir()
        stage = Stage(model, Schedule("s", 1e-6, 0.1, 2, replicas=replicas), folder)
        halves = torch.tensor([[1.0, 2.0], [3.0, -1.0]])

        def loss_of(copy, step, halves=halves, replicas=replicas):
            batch = halves if replicas == 1 else halves[step : step + 1]
            return copy(batch).square().mean()

        stage.run(loss_of)
        weights.append(model.weight.detach())
    torch.testing.assert_close(*weights)


def test_growing_keeps_the_latents_close_and_doubles_the_factor():
    torch.manual_seed(0)
    small = make_autoencoder((8, 16), 16).eval()
    large = grow(small, (8, 16), 32).eval()
    smooth = F.interpolate(torch.rand(1, 3, 4, 4) * 2 - 1, (16, 16), mode="bilinear")
    doubled = F.interpolate(smooth, scale_factor=2, mode="nearest")
    with torch.no_grad():
        before = small.encode(smooth).latent_dist.mean
        after = large.encode(doubled).latent_dist.mean
    assert before.shape == after.shape
    assert torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1] > 0.9


def test_whitening_changes_the_latents_but_no_picture():
    torch.manual_seed(0)
    model = make_autoencoder((8, 16), 16).eval()
    image = torch.rand(8, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        latents = model.encode(image).latent_dist.mean
        before = model.decode(latents).sample
        fold_whitening(model, measure(latents))
        white = model.encode(image).latent_dist.mean
        after = model.decode(white).sample
    again = measure(white)
    torch.testing.assert_close(again.mean, torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(again.std, torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


def test_the_velocity_loss_is_zero_for_the_schedulers_own_velocity():
    scheduler = make_scheduler()
    latents, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    timesteps = torch.tensor([10, 500, 990])
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    loss = velocity_loss(velocity, latents, noise, scheduler.alphas_cumprod[timesteps])
    torch.testing.assert_close(loss, torch.tensor(0.0), atol=1e-6, rtol=0)


def test_stratified_timesteps_fall_one_in_each_part():
    timesteps = stratified_timesteps(10, 1000, torch.Generator().manual_seed(0))
    assert (timesteps // 100).tolist() == list(range(10))


def test_skin_tones_flags_and_keycaps_are_dropped_but_a_light_bulb_is_kept():
    names = {
        "hand",
        "hand-medium-dark",
        "hand-light",
        "light-bulb",
        "flag-nowhere",
        "keycap-1",
    }
    assert {name for name in names if is_kept(name, names)} == {"hand", "light-bulb"}


def test_everyday_things_are_drawn_more_often_than_fiddly_ones():
    weights = [sampling_weight(name) for name in ("red-apple", "lobster", "nazar-amulet")]
    assert weights[0] > weights[1] > weights[2]


def test_colour_words_follow_the_pixels_and_turn_with_the_hue(work_dir):
    icons = read_pack(work_dir / "packs" / "noto").icons
    apple = render_icon(icons["red-apple"], 32)
    assert main_colour(apple) == "red"
    assert main_colour(turn_hue(apple, 120)) == "green"


def test_a_recoloured_apple_is_not_called_red():
    look = Look("noto style", "green", is_recoloured=True)
    said = captions("red-apple", look, random.Random(0), 20)
    assert all("green" in text and "red" not in text.split() for text in said)
    assert "noto style" in said[0]


def test_a_pair_caption_has_places_and_articles():
    assert pair_caption("apple", "cat", None) == "an apple on the left and a cat on the right"


def test_the_tokenizer_knows_its_words_and_reads_any_text(tmp_path):
    tokenizer = train_tokenizer(["a red apple, noto style"] * 5, tmp_path)
    ids = tokenizer("a red apple").input_ids
    assert len(ids) == 5
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "a red apple"
    unknown = tokenizer("zürich #7 日本").input_ids
    assert tokenizer.unk_token_id not in unknown[1:-1]


def test_pairs_that_are_the_same_thing_are_no_negatives():
    same = F.normalize(torch.ones(2, 4), dim=-1)
    loss = contrastive_loss(same, same, torch.tensor(2.0), torch.ones(2, 2, dtype=torch.bool))
    torch.testing.assert_close(loss, torch.tensor(0.0))


def test_retrieval_counts_the_rank_of_the_own_text():
    texts = torch.eye(3)
    images = torch.tensor([[1.0, 0, 0], [0.9, 0.5, 0], [0, 0.9, 1]])
    assert retrieval(images, texts, 1) == pytest.approx(2 / 3)
    assert retrieval(images, texts, 2) == 1.0


def test_held_out_names_and_pairs_do_not_overlap_and_never_hide_what_must_stay():
    icons = [(pack, f"thing-{i}") for pack in ("a", "b", "c") for i in range(20)]
    drawn = draw_held_out(icons, num_pairs=5, num_names=4, never=frozenset({"thing-3"}))
    assert len(drawn.pairs) == 5
    assert len(drawn.names) == 4
    assert not {name for _, name in drawn.pairs} & drawn.names
    assert not drawn.hides("a", "thing-3")


def test_the_committed_list_holds_out_a_hundred_pairs_and_fifty_names():
    held_out = read_held_out()
    assert len(held_out.pairs) == 100
    assert len(held_out.names) == 50
