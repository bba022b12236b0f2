"""BERT-of-Theseus: modules of the predecessor replaced, more and more often, by smaller ones (arXiv 2002.02925)."""

from secateur.methods.theseus.phase import Replacement
from secateur.methods.theseus.schedule import Schedule

__all__ = ["Replacement", "Schedule"]
