"""Tiny volumes, and how tests write them in every format."""

from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk


def blob(shape: tuple[int, int, int] = (14, 12, 10), seed: int = 0) -> np.ndarray:
    """A noisy ellipsoid in air, different along every axis and direction."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    inside = (grid**2).sum(0) < 0.8
    ramp = 100 + 20 * grid[0] + 30 * grid[1] + 40 * grid[2]
    return (inside * (ramp + rng.normal(0, 2, shape))).astype(np.float32)


def affine(
    size: tuple[float, float, float] = (1.0, 1.0, 1.0), origin: tuple = (-5.0, -4.0, 3.0)
) -> np.ndarray:
    return nib.affines.from_matvec(np.diag(size), origin)


def save(path: Path, array: np.ndarray | None = None, matrix: np.ndarray | None = None) -> Path:
    """Write a NIfTI or MGH file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = blob() if array is None else array
    kind = nib.MGHImage if path.suffix in (".mgz", ".mgh") else nib.Nifti1Image
    nib.save(kind(array, affine() if matrix is None else matrix), path)
    return path


def itk_image(array: np.ndarray, matrix: np.ndarray) -> sitk.Image:
    """An (X, Y, Z) array on a RAS grid as SimpleITK sees it: LPS, (z, y, x)."""
    image = sitk.GetImageFromArray(array.T)
    lps = np.diag([-1, -1, 1, 1]) @ matrix
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing([float(value) for value in sizes])
    image.SetOrigin([float(value) for value in lps[:3, 3]])
    image.SetDirection((lps[:3, :3] / sizes).ravel().tolist())
    return image


def save_series(folder: Path, array: np.ndarray, size: tuple = (1.0, 1.0, 2.0), **tags: str) -> Path:
    """Write an (X, Y, Z) array as an axial DICOM series whose file order is not its slice order."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    header = {
        "0010|0020": tags.get("patient", "P1"),
        "0008|0060": tags.get("modality", "MR"),
        "0020|000e": tags.get("series", "1.2.826.0.1.3680043.2.1125.1"),
        "0020|000d": "1.2.826.0.1.3680043.2.1125.2",
        "0020|0037": "1\\0\\0\\0\\1\\0",
    }
    count = array.shape[2]
    for index in range(count):
        image = sitk.GetImageFromArray(array[:, :, index].T.astype(np.int16))
        image.SetSpacing(size[:2])
        for key, value in header.items():
            image.SetMetaData(key, value)
        image.SetMetaData("0020|0032", f"-5\\-4\\{3 + index * size[2]}")
        image.SetMetaData("0018|0050", str(size[2]))
        image.SetMetaData("0020|0013", str(index))
        image.SetMetaData("0008|0018", f"{header['0020|000e']}.{index + 1}")
        writer.SetFileName(str(folder / f"{(count - index) * 7 % 100:03d}.dcm"))
        writer.Execute(image)
    return folder
