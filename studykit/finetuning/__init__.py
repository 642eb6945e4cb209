"""From an encoder to a segmenter, a classifier or a detector: trained, tested once, with a card.

    encoder (weights) ─┐
    labelled subjects ─┴► split ─► training, validated ─► best weights ─► test subjects, once ─► scores, card

The network is the encoder's own architecture with a decoder or a head for the task. A fine-tuning is a run
like those of the studies: found by its configuration, resumed when it was interrupted, and of no other data
than it was planned for.

    plan = FinetuningPlan(data="folder:heads", encoder="pretrained/weights.safetensors", spacing_mm=2.0)
    done = finetune(plan, "segmenter")
    done.scores                                  # a row a subject and class
"""

from studykit.finetuning.plan import FinetuningPlan
from studykit.finetuning.run import Finetuned, finetune

__all__ = ["Finetuned", "FinetuningPlan", "finetune"]
