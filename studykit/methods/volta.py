"""VolTA-3D (Makawana et al., arXiv 2605.16775): a student aligned with its own running mean, and painting.

The teacher, a running mean of the student, sees two clean global views of a crop. The student sees them with
groups of patches replaced, and smaller local views besides. Three losses: its class tokens are to say what
the teacher's say of other views; its patch tokens what the teacher's say of the same place; and it paints
what was replaced. Neither text nor code of the paper could be had: what is known, inherited (MC-SSL0.0,
DiCoM) and ours is in ``papers/volta-3d/NOTES.md``.
"""

import copy
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from studykit.layers.linear import Linear
from studykit.layers.patches import take_tokens, unpatchify
from studykit.losses.distillation import Centre, class_token_loss, koleo, patch_token_loss, sharpened
from studykit.masking import mask_on, move_to, random_patch_mask
from studykit.methods.hidden_patches import painted
from studykit.methods.masked_modelling import MaskedModelling
from studykit.methods.teacher import follow, rising_momentum
from studykit.methods.views import (
    Told,
    Views,
    cells,
    corrupt,
    cut_patches,
    draw_views,
    noise_like,
    replaced,
    whole_patches,
)
from studykit.metrics.collapse import collapse_signs
from studykit.models import build_model
from studykit.models.prototype_head import PrototypeHead

GLOBALS = 2
"""Global views of a crop."""
FIXED_RATIO = 0.5
"""Share of the patches that :meth:`Volta.fixed_masks` hides."""


class Volta(MaskedModelling):
    """A vision transformer under self-distillation and masked reconstruction.

    Args:
        img_size: voxels along each axis of a global view.
        crop_size: of the crops that views are cut from; by default no larger, so that views differ by flips
            and by what is replaced alone.
        local_size: of a local view; by default half of ``img_size``, in whole patches.
        local_views: how many of them the student sees.
        class_weight, patch_weight, paint_weight: of the three losses; 0 leaves one out.
        spread_weight: of KoLeo on class tokens, which keeps subjects apart in small batches; not the paper's.
        hidden: share of a student's patches that is replaced.
        swapped: share of those that come from another crop of the batch; the rest is noise.
        prototypes: outputs of the heads.
        head_dim: width of the heads' bottleneck.
        student_temperature: divides the student's logits.
        teacher_temperature: at the start, and after ``warm_up`` of the training.
        warm_up: share of the training over which the teacher's temperature grows.
        horizon: steps that the teacher is a mean of at first, as a share of the training; its momentum
            1 - 1 / (horizon · steps) goes to 1 along half a cosine.
        frozen: share of the training during which the prototypes stay as they are.
        centre_momentum: of the centres.
        model: name of a model with class and patch tokens.
        model_options: sizes of the model.

    Raises:
        ValueError: sizes that are no multiples of the patch, a view larger than the crop, weights that are
            negative or all 0.
    """

    version = 2
    architecture = "vit"

    def __init__(
        self,
        img_size: int = 64,
        crop_size: int | None = None,
        local_size: int | None = None,
        local_views: int = 4,
        class_weight: float = 1.0,
        patch_weight: float = 1.0,
        paint_weight: float = 1.0,
        spread_weight: float = 0.0,
        hidden: float = 0.5,
        swapped: float = 0.3,
        prototypes: int = 1024,
        head_dim: int = 256,
        student_temperature: float = 0.1,
        teacher_temperature: tuple[float, float] = (0.04, 0.07),
        warm_up: float = 0.3,
        horizon: float = 0.03,
        frozen: float = 0.02,
        centre_momentum: float = 0.9,
        model: str = architecture,
        **model_options: Any,
    ) -> None:
        super().__init__()
        losses = {"class": class_weight, "patch": patch_weight, "paint": paint_weight}
        self.weights = losses | {"spread": spread_weight}
        if min(self.weights.values()) < 0 or not any(losses.values()):
            raise ValueError(f"weights of the losses must not be negative nor all 0, got {self.weights}")
        if spread_weight and not class_weight:
            raise ValueError("spread_weight keeps class tokens apart: it needs a class_weight above 0")
        self.model = build_model(model, img_size=img_size, **model_options)
        self.patch_size = p = self.model.patch_size
        self.crop_size = img_size if crop_size is None else crop_size
        local_size = max(img_size // p // 2, 2) * p if local_size is None else local_size
        sizes = {"crop_size": self.crop_size, "img_size": img_size, "local_size": local_size}
        self.grid, self.view, self.local = whole_patches(p, **sizes)
        self.local_views, self.hidden, self.swapped = local_views, hidden, swapped
        self.replaced = {view: replaced(view, hidden, swapped) for view in (self.view, self.local)}
        self.student_temperature, self.temperatures = student_temperature, tuple(teacher_temperature)
        self.warm_up, self.horizon, self.frozen = warm_up, horizon, frozen
        width = self.model.embed_dim
        self.class_head = PrototypeHead(width, head_dim, prototypes) if class_weight else None
        self.patch_head = PrototypeHead(width, head_dim, prototypes) if patch_weight else None
        self.paint_head = Linear(width, p**3) if paint_weight else None
        self.paints = bool(paint_weight)
        heads = {"class_head": self.class_head, "patch_head": self.patch_head}
        student = {name: head for name, head in heads.items() if head is not None}
        student |= {"model": self.model} if student else {}
        self.teacher = nn.ModuleDict(copy.deepcopy(student)).requires_grad_(False)
        self.class_centre = Centre(prototypes, centre_momentum) if class_weight else None
        self.patch_centre = Centre(prototypes, centre_momentum) if patch_weight else None
        self.register_buffer("teacher_temperature", torch.tensor(self.temperatures[0]), persistent=False)

    @property
    def terms(self) -> tuple[str, ...]:
        return tuple(name for name, weight in self.weights.items() if weight)

    @torch.no_grad()
    def begin_step(self, step: int, steps: int) -> None:
        """Take the student of the step before into the teacher, move the centres, set the schedules."""
        if step:
            follow(self.teacher, self, rising_momentum(step, steps, self.horizon))
        heads = ((self.class_head, self.class_centre), (self.patch_head, self.patch_centre))
        for head, centre in heads:
            if head is not None:
                centre.update()
                head.live.fill_(float(step >= self.frozen * steps))
        first, last = self.temperatures
        grown = min(step / max(self.warm_up * steps, 1), 1.0)
        self.teacher_temperature.fill_(first + (last - first) * grown)

    def draw_masks(
        self,
        batch_size: int,
        generator: torch.Generator,
        volumes: Tensor | None = None,
        rows: slice = slice(None),
    ) -> Tensor:
        """Where views lie, how they are turned, what is replaced: int64 (b, K), see
        :class:`~studykit.methods.views.Views`; global views, then local ones."""
        options = {
            "hidden": self.hidden,
            "swapped": self.swapped,
            "batch": batch_size,
            "generator": generator,
        }
        packed = [draw_views(self.grid, self.view, GLOBALS, **options).pack()]
        if self.local_views:
            packed.append(draw_views(self.grid, self.local, self.local_views, **options).pack())
        drawn = torch.cat(packed, dim=1)[rows]
        return move_to(drawn, volumes)

    def fixed_masks(self, count: int, crop_size: int, generator: torch.Generator) -> Tensor:
        """Random masks of whole crops: bool (count, d, h, w)."""
        return random_patch_mask((crop_size // self.patch_size,) * 3, FIXED_RATIO, count, generator)

    def forward(self, volume: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Weighted loss terms ``class``, ``patch``, ``paint`` and ``spread``, those that are not left out.

        Args:
            volume: (B, 1, D, H, W), crops of ``crop_size``.
            mask: from :meth:`draw_masks`.

        Raises:
            ValueError: crops of another size.
        """
        if tuple(volume.shape[2:]) != (self.crop_size,) * 3:
            raise ValueError(
                f"views are cut from crops of {self.crop_size}³ voxels, got {tuple(volume.shape[2:])}: set "
                "crop_size to that of the data"
            )
        groups = self._views(mask)
        clean = [cut_patches(volume, views, view, self.patch_size) for views, view in groups]
        told = self._told(clean[0], len(volume)) if self.teacher else {}
        seen = [self._student(x, *group) for x, group in zip(clean, groups, strict=True)]
        terms = {}
        if self.class_head is not None:
            said = torch.cat([self.class_head(cls) for cls, _, _ in seen]).unflatten(0, (-1, len(volume)))
            terms["class"] = class_token_loss(said, told["class"], self.student_temperature)
        if self.patch_head is not None:
            terms["patch"] = self._aligned(seen, told["patch"], groups)
        if self.paint_head is not None:
            errors = [self._painting_error(*each) for each in zip(seen, clean, strict=True)]
            terms["paint"] = torch.stack(errors).mean()
        if self.weights["spread"]:
            tokens = F.normalize(seen[0][0].float(), dim=1).unflatten(0, (GLOBALS, -1))
            terms["spread"] = torch.stack([koleo(view) for view in tokens]).mean()
        return {name: self.weights[name] * term for name, term in terms.items()}

    @torch.no_grad()
    def reconstruct(self, volume: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`MaskedModelling.reconstruct`; hidden patches are shown as noise.

        Raises:
            ValueError: painting was left out.
        """
        if self.paint_head is None:
            raise ValueError("this method was built with paint_weight=0: it paints nothing")
        hidden = mask_on(mask, volume.shape[2:])[:, None]
        tokens = self.model(torch.where(hidden, noise_like(volume, fixed=not self.training), volume))[1]
        patches = self.paint_head(tokens).unflatten(2, (1, *(self.patch_size,) * 3))
        return painted(volume, unpatchify(patches, tuple(mask.shape[1:])), mask)

    @torch.no_grad()
    def vital_signs(self, volume: Tensor) -> dict[str, float]:
        """Whether class tokens have collapsed, see :class:`~studykit.metrics.collapse.CollapseSigns`.

        Of the middle of each crop, clean; nothing without a class loss, or of fewer than three crops.
        """
        if self.class_head is None or len(volume) < 3:
            return {}
        side = self.view[0] * self.patch_size
        first = (self.crop_size - side) // 2
        inside = slice(first, first + side)
        view = volume[:, :, inside, inside, inside]
        cls, other = self.model(view)[0], self.teacher["model"](view)[0]
        told = (self.teacher["class_head"](other) - self.class_centre.value) / self.teacher_temperature
        signs = collapse_signs(cls.float(), told, self.class_head(cls) / self.student_temperature)
        return signs.records("class")

    @torch.no_grad()
    def shown(self, volume: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What a teacher and a student see of crops, global views first, then local ones, as voxels.

        Returns:
            clean views and views with replaced patches, each (V, B, 1, D, H, W).
        """
        p, found = self.patch_size, []
        for views, view in self._views(mask):
            clean = cut_patches(volume, views, view, p)
            seen, _ = corrupt(clean, views.kinds, self.replaced[view], fixed=True)
            pictures = (unpatchify(x.unflatten(2, (1, p, p, p)), view) for x in (clean, seen))
            found.append(tuple(x.unflatten(0, (-1, len(volume))) for x in pictures))
        return found

    def _views(self, mask: Tensor) -> list[tuple[Views, tuple[int, int, int]]]:
        tokens = math.prod(self.view)
        first, rest = mask.tensor_split([GLOBALS * (6 + tokens)], dim=1)
        groups = [(Views.unpack(first, tokens), self.view)]
        if self.local_views:
            groups.append((Views.unpack(rest, math.prod(self.local)), self.local))
        return groups

    @torch.no_grad()
    def _told(self, clean: Tensor, batch: int) -> dict[str, Tensor]:
        """What the teacher says of clean global views, probabilities (V, B, K) and (V, B, T, K)."""
        cls, tokens = self.teacher["model"].read(clean, self.view)
        told = {}
        for name, x, centre in (("class", cls, self.class_centre), ("patch", tokens, self.patch_centre)):
            if centre is not None:
                logits = self.teacher[f"{name}_head"](x)
                told[name] = sharpened(logits, centre.value, self.teacher_temperature).unflatten(
                    0, (-1, batch)
                )
                if self.training:
                    centre.see(logits)
        return told

    def _student(
        self, clean: Tensor, views: Views, view: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Class tokens, patch tokens and which were replaced, of all views of one size, (V·B, ...)."""
        seen, hidden = corrupt(clean, views.kinds, self.replaced[view], fixed=not self.training)
        return *self.model.read(seen, view), hidden

    def _aligned(self, seen: list, told: Tensor, groups: list) -> Tensor:
        """Patch loss, meant over views: each token against what the teacher says of its place."""
        places = Told.by(told, cells(*groups[0], self.grid), math.prod(self.grid))
        losses, views_of = [], []
        for (_, tokens, _), (views, view) in zip(seen, groups, strict=True):
            said = self.patch_head(tokens).unflatten(0, (views.corners.shape[1], -1))
            target, met = places.at(cells(views, view, self.grid))
            losses.append(patch_token_loss(said, target, met, self.student_temperature) * len(said))
            views_of.append(len(said))
        return torch.stack(losses).sum() / sum(views_of)

    def _painting_error(self, seen: tuple, clean: Tensor) -> Tensor:
        """Mean absolute error of the replaced voxels of all views of one size; no others are painted."""
        _, tokens, hidden = seen
        painted = self.paint_head(take_tokens(tokens, hidden))
        return F.l1_loss(painted.float(), take_tokens(clean, hidden).float())
