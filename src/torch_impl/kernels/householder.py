"""Products of reflections H_1 ... H_r D, in the compact form (I - U T U^T) D, and the vectors of such a product.

u_j = (0, .., 0, 1, half of the entries of column j of raw below the diagonal): no vector can be 0, whatever raw becomes.
"""

import torch
from torch import Tensor as Array

from torch_impl.kernels.triangles import fill_strict, take_strict


def column_triangle(raw: Array, n: int, k: int) -> Array:
    """The n by k matrix with the entries (i, j), j < min(i, k), of raw row by row, and 0 on and above the diagonal."""
    square = k * (k - 1) // 2
    upper = fill_strict(raw[..., :square], k)
    return torch.cat([upper, raw[..., square:].reshape(*raw.shape[:-1], n - k, k)], dim=-2)


def take_columns(matrix: Array) -> Array:
    """The entries (i, j), j < min(i, k), of an n by k matrix, row by row."""
    n, k = matrix.shape[-2:]
    below = matrix[..., k:, :].reshape(*matrix.shape[:-2], (n - k) * k)
    return torch.cat([take_strict(matrix[..., :k, :]), below], dim=-1)


def reflected(raw: Array, n: int, k: int) -> Array:
    """The first k columns of H_1 ... H_r D, r = min(k, n - 1); D turns the first r signs, so that raw = 0 gives I."""
    count = min(k, n - 1)
    one = torch.eye(n, dtype=raw.dtype, device=raw.device)
    u = column_triangle(raw, n, k)[..., :count] / 2 + one[:, :count]
    u = u / torch.amax(torch.abs(u), dim=-2, keepdim=True).detach()
    u = u / torch.sqrt(torch.sum(u * u, dim=-2, keepdim=True))
    between = torch.transpose(u, -1, -2) @ u
    inner = torch.triu(between, diagonal=1) + one[:count, :count] / 2
    ahead = torch.linalg.solve_triangular(inner, torch.transpose(u[..., :k, :], -1, -2), upper=True)
    return (one[:, :k] - u @ ahead) * _signs(count, k, raw)


def unreflected(value: Array) -> Array:
    """Raw of the value: each column gives its vector, whose reflection then clears it. nan where an entry would be infinite.

    # twin: JAX scans over whole matrices with masks, torch loops over what is left of the matrix.
    """
    n, k = value.shape[-2:]
    count = min(k, n - 1)
    vectors, rest = [], value
    for j in range(count):
        head, below = rest[..., :1, 0], rest[..., 1:, 0]
        square = torch.sum(below * below, dim=-1, keepdim=True)
        pivot = _pivot(head, square)
        vectors.append(torch.nn.functional.pad(below / pivot, (j + 1, 0)))
        along = pivot * rest[..., 0, 1:] + (below[..., None, :] @ rest[..., 1:, 1:])[..., 0, :]
        along = along * (2 / (pivot * pivot + square))
        rest = rest[..., 1:, 1:] - below[..., :, None] * along[..., None, :]
    vectors.extend([torch.zeros_like(value[..., 0])] * (k - count))
    raw = 2 * take_columns(torch.stack(vectors, dim=-1))
    far = torch.any(torch.abs(raw) > 1 / (4 * torch.finfo(value.dtype).eps), dim=-1, keepdim=True)
    return torch.where(far, torch.nan, raw)


def log_reflected_volume(raw: Array, n: int) -> Array:
    """-sum over the columns of m log(1 + |column|^2/4), m the number of entries of the column."""
    halves = column_triangle(raw, n, n) / 2
    largest = torch.clamp(torch.amax(torch.abs(halves), dim=-2, keepdim=True), min=1.0).detach()
    squares = torch.sum((halves / largest) ** 2, dim=-2)
    size = largest[..., 0, :]
    logs = torch.log1p(squares + (1 / size - 1) * (1 / size + 1)) + 2 * torch.log(size)
    count = torch.arange(n - 1, -1, -1, dtype=raw.dtype, device=raw.device)
    return -torch.sum(count * logs, dim=-1)


def _pivot(head: Array, square: Array) -> Array:
    """1 + head, where head^2 + square = 1: near head = -1 the entries below it know it to more digits. nan for 0."""
    pivot = torch.where(head < -0.5, square / (1 - torch.clamp(head, max=-0.5)), 1 + head)
    return torch.where(pivot == 0, torch.nan, pivot)


def _signs(count: int, k: int, like: Array) -> Array:
    return torch.where(torch.arange(k, device=like.device) < count, -1.0, 1.0).to(like.dtype)
