import numpy as np
import torch

from dyod_studio.diffusion.sampling import randn_per_image
from dyod_studio.training import subjects as class_pictures
from dyod_studio.training.subjects import class_latents, draw_class


def made(base, folder, number, *, prompt="a dog", seed=0):
    """The events of making class pictures, and their latents."""
    events = []
    steps = class_latents(base, prompt, number, seed, folder)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, np.array(end.value)


def test_class_pictures_are_drawn_once_for_each_base_class_and_seed(base, tmp_path, monkeypatch):
    monkeypatch.setattr(class_pictures, "CLASS_STEPS", 3)
    monkeypatch.setattr(class_pictures, "DRAWN_PX", 2 * base.resolution**2)
    events, first = made(base, tmp_path, 3)
    assert [(event.done, event.total) for event in events] == [(2, 3), (3, 3)]
    assert first.shape == (3, *base.latent_shape)
    assert np.isfinite(first).all()
    again, second = made(base, tmp_path, 3)
    assert again == []
    assert np.array_equal(first, second)
    for changed in ({"prompt": "a cat"}, {"seed": 1}):
        events, other = made(base, tmp_path, 3, **changed)
        assert events
        assert not np.allclose(first, other)
    assert not list(tmp_path.glob("*.partial"))


def test_a_class_picture_depends_on_its_seed_and_index_alone(base):
    together = draw_class(base, "a dog", [0, 1, 2], seed=5, num_steps=3)
    alone = draw_class(base, "a dog", [2], seed=5, num_steps=3)
    torch.testing.assert_close(together[2:], alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together[0], together[1])


def test_the_sampler_adds_noise_at_every_step(base, monkeypatch):
    draws = []

    def counting(like, generators):
        draws.append(len(generators))
        return randn_per_image(like, generators)

    monkeypatch.setattr("dyod_studio.diffusion.sampling.randn_per_image", counting)
    draw_class(base, "a dog", [0, 1], seed=0, num_steps=4)
    assert draws == [2, 2, 2, 2]
