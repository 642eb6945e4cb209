"""The configuration of one run of some steps, for whoever executes it by hand."""

from typing import Any

from tiny_study import MAE

from studykit.runs.training_run import run_config
from studykit.tasks.reconstruction import Recipe
from studykit.training.config import TrainingConfig

RECIPE = Recipe("folder:x", "f" * 64, 4.0, 16, ("ada", "ben"), ("cleo",), 2, 11)
TRAINING = TrainingConfig(steps=4, batch_size=2, lr=1e-3, eval_every=2, checkpoint_every=2)
OPTIONS = {"img_size": 16, "patch_size": 4, **MAE}


def config(**changes: Any) -> dict[str, Any]:
    """A tiny MAE-ViT on ``RECIPE``, but for ``changes``."""
    settings = {"method": "mae", "options": OPTIONS, "recipe": RECIPE, "training": TRAINING}
    settings |= {"init_seed": 1, "training_seed": 2, **changes}
    return run_config(
        settings.pop("method"), settings.pop("options"), settings.pop("recipe"), settings.pop("training"),
        **settings,
    )  # fmt: skip
