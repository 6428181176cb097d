"""Norms over a batch: what they divide by in training and afterwards, and what they leave at zero."""

import torch

from plstm_graph.nn.vision.batch_norm import BatchNorm, BatchRMSNorm


def test_channels_have_a_root_mean_square_of_their_scale():
    norm = BatchRMSNorm(3).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -3.0]))
    x = 5 + torch.randn(4, 6, 7, 3).double() * torch.tensor([0.1, 1, 10])
    rms = norm(x).square().mean(dim=(0, 1, 2)).sqrt()
    torch.testing.assert_close(rms, torch.tensor([1.0, 2.0, 3.0]).double(), rtol=1e-5, atol=0)


def test_zero_stays_zero_where_batch_norm_moves_it():
    x = torch.randn(2, 3, 3, 4)
    x[0, 1] = 0
    assert BatchRMSNorm(4)(x)[0, 1].abs().max() == 0  # exact: zeros are divided
    assert BatchNorm(4)(x)[0, 1].abs().max() > 0.01


def test_evaluation_divides_by_the_mean_of_batches():
    norm = BatchRMSNorm(2)
    x = torch.full((50, 2), 3.0)
    norm(x)
    torch.testing.assert_close(norm.mean_square, torch.full((2,), 0.9 + 0.1 * 9))
    norm.eval()
    torch.testing.assert_close(norm(x), x / (1.8 + 1e-5) ** 0.5)
    for _ in range(200):
        norm.train()(x)
    torch.testing.assert_close(norm.eval()(x), torch.ones_like(x), rtol=1e-4, atol=0)


def test_gradient_is_that_of_dividing_by_the_batch():
    norm = BatchRMSNorm(3).double()
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (x,))


def test_half_precision_is_widened():
    assert BatchRMSNorm(2)(torch.ones(3, 2, dtype=torch.bfloat16)).dtype == torch.float32
