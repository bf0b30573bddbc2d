"""Training losses on tensors. Shapes: B images, C channels, h x w cells, d coordinates."""

from torch import Tensor

from dyod_studio.diffusion.codes import kl_per_coordinate
from dyod_studio.diffusion.schedule import NoiseSchedule


def min_snr_weights(schedule: NoiseSchedule, timesteps: Tensor, gamma: float) -> Tensor:
    """Weight of each timestep's squared error, (B,): arXiv:2303.09556, sec. 3.4.

    min(SNR, gamma) / SNR for noise prediction and min(SNR, gamma) / (SNR + 1) for v.
    """
    alpha = schedule.alphas_cumprod.to(timesteps.device)[timesteps].float()
    snr = alpha / (1 - alpha)
    divisor = snr if schedule.prediction_type == "epsilon" else snr + 1
    return snr.clamp(max=gamma) / divisor


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
    """-ELBO per element of a beta-VAE whose Gaussian likelihood has its best variance.

    With sigma^2 at its optimum, the mean squared error, the likelihood term is
    n/2 log MSE (arXiv:2006.13202), so beta = 1 is a true VAE at any resolution and
    no weight between the two terms needs to be guessed.

    Args:
        reconstruction, target: (B, C, h, w). mean, log_variance: (B, d) of q(z | x).
        beta: weight of the KL term; 1 is the VAE of the paper, more gives smoother codes.

    Returns:
        A scalar in nats, divided by the n = C h w elements of one picture.
    """
    elements = target[0].numel()
    mse = (reconstruction.float() - target.float()).square().mean()
    likelihood = 0.5 * elements * (mse + 1e-6).log()
    kl = kl_per_coordinate(mean.float(), log_variance.float()).sum()
    return (likelihood + beta * kl) / elements
