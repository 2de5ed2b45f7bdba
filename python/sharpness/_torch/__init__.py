"""Curvature of PyTorch models."""

from sharpness._torch.operator import ModelOperator

__all__ = ["ModelOperator"]
