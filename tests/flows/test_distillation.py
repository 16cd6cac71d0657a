"""Distances of student and teacher: zero where they are the same map, and only there."""

import pytest
import torch

from caloforge.errors import ConfigError
from caloforge.flows import (
    MADE,
    AutoregressiveSpline,
    Chain,
    Flow,
    Inverse,
    InverseSpline,
    Permutation,
    RationalQuadratic,
    x_loop,
    z_loop,
)

F, C, B = 6, 2, 50
SPLINE = RationalQuadratic(n_bins=4, bound=3.0, min_bin=1e-2, min_slope=1e-2)
ORDERS = ([5, 3, 1, 0, 2, 4], [1, 2, 0, 4, 5, 3])


def made(seed: int, *, coupling: bool = False) -> MADE:
    """A network with random weights; ``coupling``: features 0, 2, 4 steer splines of 1, 3, 5 and stay as they are.

    Then the network gives the same parameters whether it sees a block's data or its latents, which is what the
    networks of a student that is exactly its teacher's inverse must do.
    """
    network = MADE(n_features=F, n_context=C, n_params=SPLINE.n_params, hidden=12, depth=1)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        if coupling:
            network.first.weight[:, 1::2] = 0
            network.last.weight.view(SPLINE.n_params, F, -1)[:, ::2] = 0
            network.last.bias.view(SPLINE.n_params, F)[:, ::2] = 0
    return network.double()


def pair(*, coupling: bool) -> tuple[Chain, Chain]:
    """Teacher and student with equal weights."""
    teacher, student = [], []
    for k in range(3):
        teacher.append(AutoregressiveSpline(made(k, coupling=coupling), SPLINE))
        student.append(AutoregressiveSpline(made(k, coupling=coupling), InverseSpline(SPLINE)))
        if k < 2:
            teacher.append(Permutation(ORDERS[k]))
            student.append(Inverse(Permutation(ORDERS[k])))
    return Chain(teacher).requires_grad_(requires_grad=False), Chain(student[::-1])


def inputs(scale: float = 1.0):
    generator = torch.Generator().manual_seed(9)
    values, context = (torch.randn(B, n, generator=generator, dtype=torch.float64) for n in (F, C))
    return scale * values, context


loops = pytest.mark.parametrize("loop", [z_loop, x_loop])


@loops
def test_zero_for_a_student_that_is_the_inverse(loop):
    teacher, student = pair(coupling=True)
    values, context = inputs()
    z = teacher.encode(values, context)
    assert float((z - values).abs().max()) > 0.1  # not the identity
    torch.testing.assert_close(student.encode(z, context), values, rtol=1e-9, atol=1e-9)
    for name, distances in loop(teacher, student, values, context)._asdict().items():
        assert distances.shape == (B,)
        assert float(distances.detach().max()) < 1e-18, name


@loops
def test_exactly_zero_for_equal_weights_where_splines_are_the_identity(loop):
    """In the tails: both networks see the same values, whatever their weights are."""
    teacher, student = pair(coupling=False)
    values, context = inputs()
    values = values + 4 * values.sign()
    for distances in loop(teacher, student, values, context):
        assert torch.equal(distances, torch.zeros(B, dtype=torch.float64))


@loops
def test_any_perturbed_weight_shows_in_every_term(loop):
    teacher, student = pair(coupling=True)
    values, context = inputs(scale=1.5)
    for name, parameter in student.named_parameters():
        before = parameter.detach().clone()
        with torch.no_grad():
            parameter += 0.05 * torch.randn(parameter.shape, dtype=torch.float64)
        for term, distances in loop(teacher, student, values, context)._asdict().items():
            assert float(distances.detach().max()) > 1e-9, (name, term)
        with torch.no_grad():
            parameter.copy_(before)


@loops
def test_terms_are_what_they_say(loop):
    """Two blocks and a permutation written out."""
    a, b = made(1), made(2)
    c, d = made(3), made(4)
    order = Permutation(ORDERS[0])
    teacher = Chain([AutoregressiveSpline(a, SPLINE), order, AutoregressiveSpline(b, SPLINE)])
    student = Chain(
        [
            AutoregressiveSpline(c, InverseSpline(SPLINE)),
            Inverse(order),
            AutoregressiveSpline(d, InverseSpline(SPLINE)),
        ]
    )
    values, context = inputs()

    def up(x):
        first = a(x, context)
        h = order.encode(SPLINE.encode(x, first), context)
        second = b(h, context)
        return [x, h, SPLINE.encode(h, second)], [first, second]

    def down(z):
        second = c(z, context)
        h = SPLINE.decode(z, second)
        g = order.decode(h, context)
        first = d(g, context)
        return [SPLINE.decode(g, first), h, z], [first, second]

    if loop is z_loop:
        theirs, their_params = down(values)
        mine, my_params = up(theirs[0])
        end = 2
    else:
        mine, my_params = up(values)
        theirs, their_params = down(mine[2])
        end = 0

    def distance(s, t):
        return (s - t).square().flatten(1).sum(1)

    steps = [distance(s, t) for s, t in zip(mine, theirs, strict=True)]
    found = loop(teacher, student, values, context)
    torch.testing.assert_close(found.ends, steps[end])
    torch.testing.assert_close(found.steps, steps[0] + steps[1] + steps[2])
    torch.testing.assert_close(
        found.parameters, sum(distance(s, t) for s, t in zip(my_params, their_params, strict=True))
    )
    assert float(found.ends.detach().min()) > 0


@loops
def test_gradients_reach_the_student_only_and_are_right(loop):
    teacher, student = pair(coupling=False)
    values, context = inputs()

    def loss():
        return sum(term.mean() for term in loop(teacher, student, values[:5], context[:5]))

    loss().backward()
    assert all(p.grad is None for p in teacher.parameters())
    generator = torch.Generator().manual_seed(3)
    for name, parameter in student.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        slope = float((parameter.grad * direction).sum())
        step = 1e-6
        with torch.no_grad():
            parameter += step * direction
            above = float(loss())
            parameter -= 2 * step * direction
            below = float(loss())
            parameter += step * direction
        assert slope == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-5), name


def test_a_student_of_another_number_of_blocks():
    teacher, student = pair(coupling=False)
    with pytest.raises(ConfigError, match="as many blocks; they have 3 and 2"):
        z_loop(teacher, Chain(list(student.blocks)[:3]), *inputs())


def test_the_density_beside_a_sample_is_that_of_log_prob():
    _, student = pair(coupling=False)
    flow = Flow(Inverse(student))
    z, context = inputs()
    with torch.no_grad():
        x, log_prob = flow.decode_with_log_prob(z, context)
        torch.testing.assert_close(x, flow.decode(z, context))
        torch.testing.assert_close(log_prob, flow.log_prob(x, context))
        torch.testing.assert_close(flow.bijection.encode(x, context), z)
