"""Distillation: losses against a teacher, beside the task's own."""

from secateur.distillation.base import Distillation, Objective
from secateur.distillation.logits import LogitsDistillation
from secateur.distillation.patient import PatientDistillation

__all__ = ["Distillation", "LogitsDistillation", "Objective", "PatientDistillation"]
