"""L0-gated structured pruning (McCarley et al., arXiv 1910.06360), with the gates of Louizos et al. (1712.01312)."""

from secateur.methods.l0.amount import Amount
from secateur.methods.l0.hard_concrete import HardConcrete
from secateur.methods.l0.phase import GatePhase

__all__ = ["Amount", "GatePhase", "HardConcrete"]
