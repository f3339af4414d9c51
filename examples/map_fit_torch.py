"""A MAP fit in PyTorch, twice: the mode of the rate, and the mode of its logarithm. Run it, or read it cell by cell.

Earthquakes of magnitude 7 and above, one count per year: y_n ~ Poisson(rate), with the prior rate ~ Gamma(shape 2, rate 0.1).
"""

# %% The data and the prior
import torch

import isoparam as iso
from isoparam.torch import constrain, log_jacobian, unconstrain

counts = torch.tensor(iso.problems.get("hmm").data["count"], dtype=torch.float64)
shape, rate = 2.0, 0.1
constraints = {"rate": iso.Positive(link="exp")}


# %% The density lives on the constrained value
def log_posterior(values):
    """Up to a constant: log prior(rate) + log likelihood(counts | rate), a density over the rate."""
    prior = (shape - 1) * torch.log(values["rate"]) - rate * values["rate"]
    likelihood = torch.sum(counts * torch.log(values["rate"]) - values["rate"])
    return prior + likelihood


# %% One fit for both: what differs is the objective as a function of raw
def fit(objective):
    """The constrained values at the maximum of objective(raw)."""
    raw = unconstrain({"rate": torch.tensor(10.0, dtype=torch.float64)}, constraints)
    optimizer = torch.optim.Adam([raw["rate"].requires_grad_()], lr=0.05)
    for _ in range(1000):
        optimizer.zero_grad()
        (-objective(raw)).backward()
        optimizer.step()
    return constrain(raw, constraints)["rate"].item()


# %% The mode of the rate: the density as it is, evaluated at the value
mode_of_rate = fit(lambda raw: log_posterior(constrain(raw, constraints)))

# %% The mode of log rate: the same belief as a density over raw, which takes the log-determinant of the map
mode_of_log_rate = fit(lambda raw: log_posterior(constrain(raw, constraints)) + log_jacobian(raw, constraints))

# %% Both are known in closed form: the posterior is Gamma(shape + sum y, rate + n)
total, years = float(counts.sum()), len(counts)
print(f"mode of the rate      {mode_of_rate:.10f}   exact {(shape + total - 1) / (rate + years):.10f}")
print(f"mode of log rate      {mode_of_log_rate:.10f}   exact {(shape + total) / (rate + years):.10f}")
print("A mode moves with the unit in which it is asked for; the posterior behind both is one. Without log_jacobian a map")
print("only steers the search, and the answer is the mode of the value; with it the answer is that of raw, which is what")
print("a sampler or a Laplace approximation over raw needs.")
