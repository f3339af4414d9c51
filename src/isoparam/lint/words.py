"""What the lint says of a mistake: what is wrong, what to write instead, what will happen."""

from isoparam.diagnosis import rule_of

_HOLD = "{attr} is computed from {params} once, with its graph, and used after they have moved"
_SAY = {
    "stale-attribute": (
        "{attr} is computed from {params} when the object is made and kept with its graph; updates do not reach it",
        "@property\ndef {name}(self):\n    return ...  # the same expression, computed at each use",
    ),
    "stale-buffer": (
        (
            "the buffer {attr} is computed from {params} when the object is made; updates do not reach it, and "
            "the state_dict saves it"
        ),
        "@property\ndef {name}(self):\n    return ...  # the same expression; or .detach() where a frozen value is meant",
    ),
    "stale-closure": (
        "a function that is kept as {attr} has taken a value with it that was computed from {params} before",
        "compute the value inside of the function, from the parameter: lambda x: f(self.{param}) * x",
    ),
    "stale-global": (
        "the variable {attr} is computed from {params} when the module is imported; updates do not reach it",
        "def {name}():\n    return ...  # the same expression, called at each step",
    ),
    "stale-loop-invariant": (
        "{attr} is computed from {params} before they are updated and used again after it",
        "compute it inside of the loop, before the loss; or .detach() it where no gradient is meant",
    ),
    "tied-by-value": (
        "{attr} is given the value of {params} once; both train on, each on its own",
        "tie them by reference: self.a.weight = self.b.weight",
    ),
    "fragile-view": (
        "{attr} is a view of {params}: it follows them until .to(), .double() or a copy parts them",
        "@property\ndef {name}(self):\n    return ...  # the same view, taken at each use",
    ),
    "retain-graph-mask": (
        "retain_graph=True keeps alive a graph that was built before the last update of {params}{held}",
        "remove retain_graph=True, and compute the value at each step",
    ),
    "carried-state": (
        "{attr} goes from one step to the next with its graph, which reaches {params} of the step before",
        "detach it where it is taken over: {name} = {name}.detach()",
    ),
    "severed-gradient": (
        "the number of {params} goes into the result here without its graph, and no other way has one",
        "use the parameter itself: no .data, .item(), float(), torch.tensor(...), .detach() or no_grad on the way",
    ),
    "jit-captured-param": (
        "a compiled function reads {attr} from outside of its arguments: it keeps what it was at the first call",
        "give it as an argument: @jax.jit\ndef f(params, x): ...",
    ),
    "decoupled-derived-leaf": (
        "{attr} is computed from {params} and is a leaf beside it: both train, each on its own",
        "@property\ndef {name}(self):\n    return ...  # the same expression, from the leaf, at each use",
    ),
    "static-field": (
        "{attr} is a static field with a value that was computed from {params}",
        "@property\ndef {name}(self):\n    return ...  # the same expression, from the leaf, at each use",
    ),
    "leaked-tracer": (
        "{attr} is written while a function is traced, and keeps a tracer after it has ended",
        "return the value from the traced function instead of storing it",
    ),
}
_DETAIL = {
    ("stale-cache", "lazy"): (
        "{attr} is computed from {params} at the first call and kept; updates do not reach it",
        ("remove the cache, or clear it after each update: self.{name} = None"),
    ),
    ("stale-cache", "dict"): (
        "an entry of {attr} is computed from {params} once and kept; updates do not reach it",
        ("remove the cache, or clear it after each update: self.{name}.clear()"),
    ),
    ("stale-cache", "decorator"): (
        ("{attr} keeps what it computed from {params} at its first call; updates do not reach it"),
        "use @property, which computes it at each use",
    ),
    ("stale-cache", "context"): (
        ("{attr} is held open over several updates: what it caches was computed from {params} in the first step"),
        ("open it within the loop, once per step, around the forward alone"),
    ),
    ("graph-growth", "local"): ("{attr} sums values with their graphs over the steps", "sum numbers: {name} += loss.item()"),
    ("graph-growth", "list"): (
        ("{attr} collects values with their graphs over the steps"),
        "keep numbers: {name}.append(loss.item())",
    ),
    ("graph-growth", "attribute list"): (
        "{attr} collects values with their graphs over the calls",
        "keep numbers: self.{name}.append(value.item())",
    ),
    ("graph-growth", "attribute"): (
        "{attr} is computed from its own last value with its graph, which grows with each call",
        ("detach what is kept: self.{name} = (...).detach()"),
    ),
    ("unregistered-parameter", "converted"): (
        ("{attr} is the result of an operation on an nn.Parameter, thus no Parameter: parameters() does not list it"),
        "convert first: nn.Parameter(tensor.to(...))",
    ),
    ("unregistered-parameter", "leaf"): (
        ("{attr} is a tensor with requires_grad=True, thus no Parameter: parameters() does not list it"),
        "self.{name} = nn.Parameter(...)",
    ),
    ("unregistered-parameter", "container"): (
        ("{attr} is a plain container of parameters or modules: parameters() does not list them"),
        ("nn.ParameterList([...]) for parameters, nn.ModuleList([...]) for modules, ...Dict for dicts"),
    ),
    ("static-field", "array"): (
        "{attr} is an array in a static field: it belongs to the structure of the pytree and never trains",
        "make it a field like the others: {name}: jax.Array",
    ),
    ("stale-optimizer", "replaced"): (
        ("{attr} is replaced after the optimizer was built over the parameters that it had before"),
        ("build the optimizer after the last change of the model"),
    ),
    ("stale-optimizer", "derived"): (
        "the optimizer is given a tensor that is computed from {params}, not a parameter",
        ("give it the parameters: torch.optim.SGD(model.parameters(), ...)"),
    ),
    ("stale-optimizer", "foreign"): (
        "the loss depends on {params}, of which this optimizer holds none",
        ("build it over the parameters of the model that is trained"),
    ),
    ("zero-gradient-leaf", "cut"): (
        ("{attr} reaches the loss without its gradient (stop_gradient, a rounding, a number), and in no other way"),
        ("remove stop_gradient, or keep the leaf out of the parameters"),
    ),
    ("zero-gradient-leaf", "outside"): (
        ("a value is computed from {params} outside of the differentiated function: the gradient does not pass through it"),
        ("compute it inside of the loss, from its argument"),
    ),
    ("zero-gradient-leaf", "clip"): (
        ("{attr} is clipped as it is read: outside of the bounds its gradient is zero"),
        "project after the step, or use a smooth map",
    ),
    ("jit-captured-param", "field"): (
        (
            "{attr} is given a value computed from an array outside of the module: it is a constant of the "
            "program, not a parameter"
        ),
        ("self.param(...) in the module, and the map in __call__"),
    ),
    ("dropped-update", ""): ("the result of {attr} is thrown away: it changes nothing in place", "assign it: params = ..."),
    ("inplace-on-leaf", ""): (
        ("{params} is changed in place ({detail}) while gradients are recorded"),
        "with torch.no_grad():\n    ...",
    ),
}


def say(kind: str, attr: str, params: tuple[str, ...], detail: str = "") -> tuple[str, str, str]:
    """Message, fix and outcome of a finding."""
    message, fix = _DETAIL.get((kind, detail)) or _DETAIL.get((kind, "")) or _SAY.get(kind) or (_HOLD, rule_of(kind).title)
    shown = ", ".join(params[:4]) + (", ..." if len(params) > 4 else "") if params else "a parameter"
    name = attr.split("[")[0].rsplit(".", 1)[-1] or "value"
    words = {
        "attr": attr or "a value",
        "params": shown,
        "name": name,
        "detail": detail,
        "param": params[0] if params else "raw",
    }
    words["held"] = f", kept in {attr}" if attr else ""
    return message.format(**words), fix.format(**words), rule_of(kind).outcome
