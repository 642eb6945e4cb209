import numpy as np
import pytest
import torch

from studykit.data.volumes.cache import PreparedVolume
from studykit.data.volumes.tensors import label_tensor, volume_tensor, xyz_array


def volume(labels=None):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    foreground = np.ones(array.shape, bool)
    foreground[1, 2] = False
    return PreparedVolume("s0", np.asfortranarray(array), foreground, labels, np.eye(4), "T1w", "")


def test_tensor_axes_are_z_y_x():
    own = volume(labels=np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    tensor = volume_tensor(own)
    assert tensor.shape == (1, 4, 3, 2)
    assert tensor[0, 3, 2, 1] == own.array[1, 2, 3]
    labels = label_tensor(own)
    assert labels[3, 2, 1] == own.labels[1, 2, 3] and labels.dtype == torch.int64
    with pytest.raises(ValueError, match="s0 has no labels"):
        label_tensor(volume())


def test_back_to_an_array_is_the_volume_itself():
    own = volume()
    assert np.array_equal(xyz_array(volume_tensor(own)[0]), own.array)


def test_what_lies_outside_the_foreground_can_be_made_constant():
    own = volume()
    constant = xyz_array(volume_tensor(own, constant_background=True)[0])
    assert (constant[1, 2] == own.array.min()).all() and np.array_equal(constant[0], own.array[0])
    assert own.array[1, 2, 3] == 23, "the volume itself stays"
