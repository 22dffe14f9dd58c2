"""Every objective by its name in recipes: a new objective is a new line here."""

from __future__ import annotations

from capcli.training.objectives.adversarial import Adversarial
from capcli.training.objectives.autoencoder import Autoencoder
from capcli.training.objectives.contract import Objective
from capcli.training.objectives.contrastive import Contrastive
from capcli.training.objectives.cross_entropy import CrossEntropy
from capcli.training.objectives.language import Language
from capcli.training.objectives.scheduled_sampling import ScheduledSampling
from capcli.training.objectives.self_critical import SelfCritical


def objectives() -> dict[str, type[Objective]]:
    """Every objective by its name in recipes; its `settings` are the options of its stages."""
    return {
        "adversarial": Adversarial,
        "autoencoder": Autoencoder,
        "contrastive": Contrastive,
        "cross-entropy": CrossEntropy,
        "language": Language,
        "scheduled-sampling": ScheduledSampling,
        "self-critical": SelfCritical,
    }
