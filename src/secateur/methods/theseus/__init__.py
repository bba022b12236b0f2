"""BERT-of-Theseus: progressively replaces modules of the predecessor by smaller ones (Xu et al., arXiv 2002.02925)."""

from secateur.methods.theseus.phase import Replacement
from secateur.methods.theseus.schedule import Schedule

__all__ = ["Replacement", "Schedule"]
