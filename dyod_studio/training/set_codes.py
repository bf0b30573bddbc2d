"""Where the codes of a set lie, found once its initial VAE is trained.

The aggregated posterior of a VAE is no N(0, I): codes drawn from that decode to shapes that the
set has none of. A mixture fitted to samples of the posteriors is where the codes are (ex-post
density estimation, sec. 4 of arXiv:1903.12436); nothing is trained again. N pictures, d
coordinates.
"""

from collections.abc import Iterator, Sequence

import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from dyod_studio.models.initial_vae import InitialVae, SetCodes
from dyod_studio.training.data import Cached, rows_at

BATCH = 64
MOST_GAUSSIANS = 10
PICTURES_EACH = 5
"""Pictures that a Gaussian of the mixture stands for at least."""
NUM_SAMPLES = 4096
"""Codes that the mixture is fitted to, about; and the most mean codes that are kept."""
LEAST_VARIANCE = 1e-4


def batches(items: Cached, device: torch.device) -> Iterator[Tensor]:
    """The items of a set in their order: (at most 64, K, S, S) each."""
    for first in range(0, len(items), BATCH):
        yield rows_at(items, range(first, min(first + BATCH, len(items)))).to(device)


@torch.no_grad()
def posteriors(vae: InitialVae, items: Cached, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and log variance of q(z | x) of every picture: (N, d) each, on the CPU."""
    vae.eval()
    parts = [vae.posterior(batch) for batch in batches(items, device)]
    means, log_variances = (torch.cat(rows).cpu() for rows in zip(*parts, strict=True))
    return means, log_variances


def fit_set_codes(means: Tensor, log_variances: Tensor, captions: Sequence[str] = ()) -> SetCodes:
    """The mixture of diagonal Gaussians that samples of the posteriors are likeliest under.

    Args:
        means, log_variances: (N, d) of the posteriors; thousands of pictures are thinned evenly.
        captions: what each picture shows, in words; N, or none at all.
    """
    kept = torch.arange(0, len(means), -(-len(means) // NUM_SAMPLES))
    means, deviations = means[kept], (0.5 * log_variances[kept]).exp()
    each = -(-NUM_SAMPLES // len(means))
    noise = torch.randn(each, *means.shape, generator=torch.Generator().manual_seed(0))
    samples = (means + deviations * noise).flatten(0, 1).double().numpy()
    mixture = GaussianMixture(
        max(1, min(MOST_GAUSSIANS, len(means) // PICTURES_EACH)),
        covariance_type="diag", reg_covar=LEAST_VARIANCE, random_state=0,
    ).fit(samples)  # fmt: skip
    weights, centres, variances = (
        torch.from_numpy(values).float()
        for values in (mixture.weights_, mixture.means_, mixture.covariances_)
    )
    kept_captions = tuple(captions[index] for index in kept.tolist()) if captions else ()
    return SetCodes(weights, centres, variances.sqrt(), means.contiguous(), kept_captions)
