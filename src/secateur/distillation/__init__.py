"""Distillation: losses against a teacher, in addition to the task's own loss."""

from secateur.distillation.base import Distillation, Objective
from secateur.distillation.logits import LogitsDistillation
from secateur.distillation.patient import PatientDistillation
from secateur.distillation.representation import RepresentationDistillation

__all__ = ["Distillation", "LogitsDistillation", "Objective", "PatientDistillation", "RepresentationDistillation"]
