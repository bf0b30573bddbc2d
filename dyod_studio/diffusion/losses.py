"""Training losses on tensors. Shapes: B images, C channels, h x w cells, d coordinates."""

import torch
from torch import Tensor

from dyod_studio.diffusion.codes import kl_per_coordinate
from dyod_studio.diffusion.sampling import NoiseSchedule


def min_snr_weights(schedule: NoiseSchedule, timesteps: Tensor, gamma: float) -> Tensor:
    """Weight of each timestep's squared error, (B,): arXiv:2303.09556, sec. 3.4.

    min(SNR, gamma) / SNR for noise prediction and min(SNR, gamma) / (SNR + 1) for v.
    """
    alpha = schedule.alphas_cumprod.to(timesteps.device)[timesteps].float()
    snr = alpha / (1 - alpha)
    divisor = snr if schedule.prediction_type == "epsilon" else snr + 1
    return snr.clamp(max=gamma) / divisor


def noise_error_weights(schedule: NoiseSchedule, timesteps: Tensor, clean: float = 0) -> Tensor:
    """Weight (B,) that makes each image's squared error that of the noise: eq. (7) of DYOD.

    1 where the denoiser predicts the noise. Where it predicts v, the noise is sqrt(a) v +
    sqrt(1 - a) x_t and the clean image sqrt(a) x_t - sqrt(1 - a) v (arXiv:2202.00512, appendix D):
    the squared error of v is a sum, a of it that of the noise and 1 - a that of the clean image.

    Args:
        clean: share of the clean image's error that counts, too, where v is predicted.
    """
    alpha = schedule.alphas_cumprod.to(timesteps.device)[timesteps].float()
    if schedule.prediction_type == "epsilon":
        return torch.ones_like(alpha)
    return alpha + clean * (1 - alpha)


def denoising_loss(
    output: Tensor,
    target: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Mean squared error of the denoiser's ``output``: eq. (7) of DYOD.

    Args:
        output, target: (B, C, h, w). weights: (B,) one weight an image, or None.
    """
    error = (output.float() - target.float()).square().mean(dim=(1, 2, 3))
    return (error if weights is None else weights * error).mean()


def negative_elbo(
    reconstruction: Tensor, target: Tensor, mean: Tensor, log_variance: Tensor, beta: float
) -> Tensor:
    """-ELBO of a beta-VAE whose likelihood is a Gaussian of unit variance, up to a constant.

    E || x - x' ||^2 / 2 + beta KL(q(z|x) || N(0, I)): arXiv:1312.6114, eq. (10), with the weight of
    beta-VAE. The items are standardised, so unit variance means "as wide as the set itself": the
    code keeps what tells pictures apart and leaves detail to the reverse process.

    Args:
        reconstruction, target: (B, K, S, S). mean, log_variance: (B, d) of q(z | x).
        beta: weight of the KL term; 1 is the VAE of the paper, more gives smoother codes.

    Returns:
        A scalar in nats, divided by the K S S elements of one item.
    """
    elements = target[0].numel()
    squares = 0.5 * (reconstruction.float() - target.float()).square().mean()
    return squares + beta * kl_per_coordinate(mean.float(), log_variance.float()).sum() / elements
