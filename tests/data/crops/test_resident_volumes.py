"""Windows and warps of many volumes at once are those of one volume after the other."""

import torch

from studykit.data.crops.resident_volumes import ResidentVolumes, warped


def test_windows_show_their_own_volume_and_its_outside_beyond_it():
    images = [torch.arange(24.0).view(2, 3, 4), 100 + torch.arange(27.0).view(3, 3, 3)]
    volumes = ResidentVolumes(images, [-1.0, -2.0], torch.device("cpu"))
    picks, corners = torch.tensor([1, 0, 1]), torch.tensor([[1, 1, 1], [-1, 0, 2], [5, 0, 0]])
    inside, over, beyond = volumes.windows(picks, corners, (2, 2, 3))
    assert torch.equal(inside[:, :, :2], images[1][1:, 1:, 1:])
    assert (inside[:, :, 2] == -2).all() and (beyond == -2).all()
    assert torch.equal(over[1, :, :2], images[0][0, :2, 2:])
    assert (over[0] == -1).all() and (over[1, :, 2] == -1).all()


def test_a_warp_moves_turns_and_interpolates():
    window = torch.arange(125.0).view(1, 5, 5, 5)
    straight = torch.eye(3)[None]
    crop = warped(window, straight, torch.tensor([[2.0, 2.0, 2.5]]), (1, 1, 2))
    torch.testing.assert_close(crop, window[:, 2:3, 2:3, 2:4])
    between = warped(window, straight, torch.tensor([[2.0, 2.25, 2.0]]), (1, 1, 1))
    torch.testing.assert_close(between, (window[:, 2:3, 2:3, 2:3] + 0.25 * 5))
    quarter = torch.tensor([[[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]])
    turned = warped(window, quarter, torch.full((1, 3), 2.0), (5, 5, 5))
    torch.testing.assert_close(turned, window.rot90(1, (3, 2)), atol=1e-4, rtol=0)
