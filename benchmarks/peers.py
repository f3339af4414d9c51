"""What `benchmarks.transforms` races: each spec against the same map, or one onto the same set, of other libraries."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import isoparam as iso

Map = Callable[[Any], Any]
Shape = tuple[int, ...]


class Race(NamedTuple):
    """One spec and its peers.

    Attributes:
        spec: ours.
        event: raw shape of one value; () for scalar specs. Batches of it make up the sizes.
        torch: {name: function that makes the map of raw tensors}.
        jax: {name: function that makes the map of raw arrays}, jitted by the race.
        whole: one value of the full size in place of a batch: {number of entries: raw shape}.
        matrices: names of peers whose raw has the shape of the value.
    """

    spec: iso.Spec
    event: Shape
    torch: dict[str, Callable[[], Map]]
    jax: dict[str, Callable[[], Map]]
    whole: dict[int, Shape] | None = None
    matrices: tuple[str, ...] = ()

    def raw_shape(self, entries: int) -> Shape:
        """The raw shape that has about this many entries."""
        if self.whole is not None:
            return self.whole[entries]
        size = 1
        for length in self.event:
            size *= length
        return (entries // size, *self.event) if self.event else (entries,)


def bijection(constraint: Callable[[Any], Any], way: str = "biject_to") -> Map:
    """The map of torch.distributions onto a constraint."""
    from torch import distributions

    return getattr(distributions, way)(constraint(distributions.constraints))


def numpyro_bijection(constraint: Callable[[Any], Any]) -> Map:
    """NumPyro's map onto a constraint."""
    from numpyro.distributions import biject_to, constraints

    return biject_to(constraint(constraints))


def tfp_bijector(make: Callable[[Any], Any]) -> Map:
    """A bijector of TensorFlow Probability on JAX."""
    from tensorflow_probability.substrates.jax import bijectors

    return make(bijectors).forward


class Parametrized:
    """A hand-written map as a parametrization reads it: the module computes it from its original at each read.

    It belongs to the raw that it reads first.
    """

    def __init__(self, function: Map) -> None:
        self.function = function
        self.module: Any = None

    def __call__(self, raw: Any) -> Any:
        """The value, read from the module."""
        if self.module is None:
            self.module = self._made(raw)
        return self.module.x

    def in_float64(self) -> "Parametrized":
        """The same, computed in float64 and rounded once."""
        return Parametrized(lambda raw: self.function(raw.double()).float())

    def _made(self, raw: Any) -> Any:
        import torch
        from torch.nn.utils import parametrize

        class Mapped(torch.nn.Module):
            def forward(mapped, raw: Any) -> Any:
                return self.function(raw)

        module = torch.nn.Module()
        module.x = torch.nn.Parameter(raw.detach())
        parametrize.register_parametrization(module, "x", Mapped(), unsafe=True)
        module.parametrizations.x.original = raw
        return module


def torch_functional(name: str, **options: Any) -> Callable[[Any], Any]:
    """A function of torch.nn.functional."""
    import torch.nn.functional

    return partial(getattr(torch.nn.functional, name), **options)


def orthogonal(kind: str) -> Map:
    """torch.nn.utils.parametrizations.orthogonal without its trivialization, on the matrix that it reads."""
    import torch
    from torch.nn.utils.parametrizations import _OrthMaps, _Orthogonal

    modules: dict[int, Any] = {}

    def forward(raw: Any) -> Any:
        side = raw.shape[-1]
        if side not in modules:
            modules[side] = _Orthogonal(torch.zeros(side, side), getattr(_OrthMaps, kind), use_trivialization=False)
        return modules[side](raw)

    return forward


def geotorch_so(kind: str) -> Map:
    """GeoTorch's special orthogonal matrices."""
    from geotorch import SO

    modules: dict[int, Any] = {}

    def forward(raw: Any) -> Any:
        side = raw.shape[-1]
        if side not in modules:
            modules[side] = SO((side, side), triv=kind).to(raw.dtype)
        return modules[side](raw)

    return forward


RACES = (
    Race(
        iso.UnitInterval(),
        (),
        {"parametrize": lambda: Parametrized(torch_sigmoid()), "biject_to": lambda: bijection(lambda c: c.unit_interval)},
        {
            "numpyro": lambda: numpyro_bijection(lambda c: c.unit_interval),
            "tfp": lambda: tfp_bijector(lambda b: b.Sigmoid()),
        },
    ),
    Race(
        iso.Interval(-1, 2),
        (),
        {
            "parametrize": lambda: Parametrized(lambda raw: -1 + 3 * torch_sigmoid()(raw)),
            "biject_to": lambda: bijection(lambda c: c.interval(-1.0, 2.0)),
        },
        {
            "numpyro": lambda: numpyro_bijection(lambda c: c.interval(-1.0, 2.0)),
            "tfp": lambda: tfp_bijector(lambda b: b.Sigmoid(-1.0, 2.0)),
        },
    ),
    Race(
        iso.Positive(),
        (),
        {"parametrize": lambda: Parametrized(torch_functional("softplus"))},
        {
            "numpyro": lambda: numpyro_bijection(lambda c: c.softplus_positive),
            "tfp": lambda: tfp_bijector(lambda b: b.Softplus()),
        },
    ),
    Race(
        iso.Positive(link="exp"),
        (),
        {"biject_to": lambda: bijection(lambda c: c.positive)},
        {"numpyro": lambda: numpyro_bijection(lambda c: c.positive), "tfp": lambda: tfp_bijector(lambda b: b.Exp())},
    ),
    Race(
        iso.Simplex(),
        (9,),
        {"biject_to": lambda: bijection(lambda c: c.simplex)},
        {
            "numpyro": lambda: numpyro_bijection(lambda c: c.simplex),
            "tfp": lambda: tfp_bijector(lambda b: b.SoftmaxCentered()),
        },
    ),
    Race(
        iso.Ordered(link="exp"),
        (10,),
        {},
        {
            "numpyro": lambda: numpyro_bijection(lambda c: c.ordered_vector),
            "tfp": lambda: tfp_bijector(lambda b: b.Ascending()),
        },
    ),
    Race(iso.SumToZero(), (9,), {}, {"numpyro": lambda: numpyro_bijection(lambda c: c.zero_sum(1))}),
    Race(iso.UnitVector(), (10,), {"parametrize": lambda: Parametrized(torch_functional("normalize", dim=-1))}, {}),
    Race(
        iso.StickBreakingSimplex(),
        (9,),
        {"biject_to": lambda: bijection(lambda c: c.simplex)},
        {"numpyro": lambda: numpyro_bijection(lambda c: c.simplex)},
    ),
    Race(iso.SoftmaxSimplex(), (9,), {}, {"tfp": lambda: tfp_bijector(lambda b: b.SoftmaxCentered())}),
    Race(
        iso.PositiveOrdered(link="exp"), (10,), {}, {"numpyro": lambda: numpyro_bijection(lambda c: c.positive_ordered_vector)}
    ),
    Race(iso.L1Ball(link="stick"), (10,), {}, {"numpyro": lambda: numpyro_bijection(lambda c: c.l1_ball)}),
    Race(
        iso.CholeskyCorrelation(),
        (45,),
        {"biject_to": lambda: bijection(lambda c: c.corr_cholesky)},
        {
            "numpyro": lambda: numpyro_bijection(lambda c: c.corr_cholesky),
            "tfp": lambda: tfp_bijector(lambda b: b.CorrelationCholesky()),
        },
    ),
    Race(
        iso.CholeskyCorrelation(link="tanh"),
        (45,),
        {"biject_to": lambda: bijection(lambda c: c.corr_cholesky)},
        {"numpyro": lambda: numpyro_bijection(lambda c: c.corr_cholesky)},
    ),
    Race(iso.Correlation(), (45,), {}, {"numpyro": lambda: numpyro_bijection(lambda c: c.corr_matrix)}),
    Race(
        iso.CholeskyCovariance(link="exp"),
        (55,),
        {"transform_to": lambda: bijection(lambda c: c.lower_cholesky, "transform_to")},
        {"numpyro": lambda: numpyro_bijection(lambda c: c.lower_cholesky)},
        matrices=("transform_to",),
    ),
    Race(
        iso.CholeskyCovariance(),
        (55,),
        {},
        {
            "numpyro": lambda: numpyro_bijection(lambda c: c.softplus_lower_cholesky),
            "tfp": lambda: tfp_bijector(lambda b: b.FillScaleTriL(diag_bijector=b.Softplus(), diag_shift=None)),
        },
    ),
    Race(
        iso.Covariance(link="exp"),
        (55,),
        {"transform_to": lambda: bijection(lambda c: c.positive_definite, "transform_to")},
        {"numpyro": lambda: numpyro_bijection(lambda c: c.positive_definite)},
        matrices=("transform_to",),
    ),
    Race(
        iso.SpecialOrthogonal(),
        (),
        {"torch": lambda: orthogonal("cayley"), "geotorch": lambda: geotorch_so("cayley")},
        {},
        whole={100: (91,), 1_000_000: (499_500,)},
        matrices=("torch", "geotorch"),
    ),
    Race(
        iso.SpecialOrthogonal(map="exp"),
        (),
        {"torch": lambda: orthogonal("matrix_exp"), "geotorch": lambda: geotorch_so("expm")},
        {"jax.scipy": lambda: jax_expm},
        whole={100: (91,), 1_000_000: (499_500,)},
        matrices=("torch", "geotorch", "jax.scipy"),
    ),
    Race(
        iso.SpecialOrthogonal(map="householder"),
        (),
        {"torch": lambda: orthogonal("householder")},
        {},
        whole={100: (91,), 1_000_000: (499_500,)},
        matrices=("torch",),
    ),
    Race(
        iso.SpecialOrthogonal(map="exp"),
        (45,),
        {"torch": lambda: orthogonal("matrix_exp"), "geotorch": lambda: geotorch_so("expm")},
        {"jax.scipy": lambda: jax_expm},
        matrices=("torch", "geotorch", "jax.scipy"),
    ),
    Race(
        iso.Covariance(),
        (),
        {"transform_to": lambda: bijection(lambda c: c.positive_definite, "transform_to")},
        {"numpyro": lambda: numpyro_bijection(lambda c: c.positive_definite)},
        whole={100: (91,), 1_000_000: (998_991,)},
        matrices=("transform_to",),
    ),
    Race(
        iso.RowStochastic(),
        (10, 9),
        {"biject_to": lambda: bijection(lambda c: c.simplex)},
        {
            "numpyro": lambda: numpyro_bijection(lambda c: c.simplex),
            "tfp": lambda: tfp_bijector(lambda b: b.SoftmaxCentered()),
        },
    ),
    Race(
        iso.WeightNorm(),
        (9, 11),
        {"weight_norm": lambda: weight_norm},
        {},
    ),
)


def jax_expm(raw: Any) -> Any:
    """JAX's matrix exponential of the skew part of the lower triangle."""
    import jax.numpy as jnp
    from jax.scipy.linalg import expm

    lower = jnp.tril(raw, -1)
    return expm(lower - lower.mT)


def weight_norm(raw: Any) -> Any:
    """torch's kernel of weight_norm on our raw, whose last column is the length."""
    import torch

    return torch._weight_norm(raw[..., :-1].reshape(-1, raw.shape[-1] - 1), raw[..., -1].reshape(-1, 1), 0)


def torch_sigmoid() -> Map:
    """torch's own."""
    import torch

    return torch.sigmoid
