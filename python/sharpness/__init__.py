"""Certified Hessian eigenvalues for PyTorch, JAX and NumPy."""

from sharpness._native import __version__

__all__ = ["__version__"]
