"""Reweighted proximal pruning (Guo et al., arXiv 1909.12486)."""

from secateur.methods.rpp.phase import Proximal

__all__ = ["Proximal"]
