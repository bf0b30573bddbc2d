"""DYOD Studio: turn a pretrained latent diffusion model into a designer's own."""

__version__ = "0.1.0"
