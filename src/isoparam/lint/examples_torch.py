"""Examples of the rules for PyTorch."""

from isoparam.lint.examples import Example

_HEAD = "import torch\nfrom torch import nn\n\n\n"
_MODEL = "class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.raw = nn.Parameter(torch.zeros(3))\n"


def _model(rest: str) -> str:
    return _HEAD + _MODEL + rest


_DERIVED = "        self.scale = torch.exp(self.raw)\n\n    def forward(self, x):\n        return self.scale * x\n"
_PROPERTY = "\n    @property\n    def scale(self):\n        return torch.exp(self.raw)\n\n    def forward(self, x):\n        return self.scale * x\n"
_STEP = "\n\ndef step(model, optimizer, x):\n    optimizer.zero_grad()\n    loss = model(x).square().mean()\n    loss.backward({})\n    optimizer.step()\n"

TORCH: dict[str, Example] = {
    "SG101": Example(
        _model(_DERIVED),
        "`__init__` runs once: `scale` belongs to the first values of `raw`. The second `backward()` goes through a graph that "
        "is freed, or, where no operation has saved anything (`cat`, `+ 1`, a cast), trains against the old value in silence.",
        _model(_PROPERTY),
        "The value is detached or computed under `no_grad`; the parameter does not require a gradient; `forward`, a hook or a "
        "method that other code calls computes the attribute anew; it is given to `nn.Parameter`, which makes a new leaf.",
    ),
    "SG102": Example(
        _model(
            "        self.kept = None\n\n    def forward(self, x):\n        if self.kept is None:\n            self.kept = torch.exp(self.raw)\n"
            "        return self.kept * x\n"
        ),
        "The first call fills the cache, the first update makes it stale. The same holds for dicts, `cached_property`, `lru_cache`, "
        "and for `parametrize.cached()` or `autocast` held open around a training loop.",
        _model("\n    def forward(self, x):\n        return torch.exp(self.raw) * x\n"),
        "The cache holds no graph; its key has the parameter's `_version`; it is used in `eval` alone; another method that is called, "
        "or other code, clears it.",
    ),
    "SG103": Example(
        _model(
            "        self.register_buffer('scale', torch.exp(self.raw))\n\n    def forward(self, x):\n        return self.scale * x\n"
        ),
        "A buffer is state, not a computation: it keeps the first value, with its graph, and `state_dict()` saves it.",
        _model(_PROPERTY),
        "The buffer is detached, or made from what is no parameter (`arange`, `zeros_like`, `new_empty`, shapes).",
    ),
    "SG104": Example(
        _model(
            "        scale = torch.exp(self.raw)\n        self.act = lambda x: scale * x\n\n    def forward(self, x):\n        return self.act(x)\n"
        ),
        "The lambda keeps the tensor that `scale` was when it was made.",
        _model(
            "        self.act = lambda x: torch.exp(self.raw) * x\n\n    def forward(self, x):\n        return self.act(x)\n"
        ),
        "The function reads the parameter itself, or a detached value.",
    ),
    "SG105": Example(
        _HEAD
        + "RAW = nn.Parameter(torch.zeros(3))\nSCALE = torch.exp(RAW)\n\n\nclass Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.raw = RAW\n\n    def forward(self, x):\n        return SCALE * x\n",
        "A module is imported once: `SCALE` belongs to the first values of `RAW`.",
        _HEAD
        + "RAW = nn.Parameter(torch.zeros(3))\n\n\nclass Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.raw = RAW\n\n    def forward(self, x):\n        return torch.exp(self.raw) * x\n",
        "The variable is detached, or nothing that trains reads it.",
    ),
    "SG106": Example(
        _model("")
        + "\n\ndef train(model, optimizer, steps):\n    scale = torch.exp(model.raw)\n    for _ in range(steps):\n        optimizer.zero_grad()\n"
        "        scale.sum().backward()\n        optimizer.step()\n",
        "`scale` is computed before the loop; from the second round on it is older than the update.",
        _model("")
        + "\n\ndef train(model, optimizer, steps):\n    for _ in range(steps):\n        optimizer.zero_grad()\n        scale = torch.exp(model.raw)\n"
        "        scale.sum().backward()\n        optimizer.step()\n",
        "The optimizer that steps in the loop does not hold the parameter; the value is detached.",
    ),
    "SG107": Example(
        _HEAD
        + "class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.enc = nn.Linear(3, 3, bias=False)\n"
        "        self.dec = nn.Linear(3, 3, bias=False)\n        self.dec.weight.data = self.enc.weight.data.clone()\n",
        "Both weights are equal once and part at the first update. Whether that is meant the text cannot tell: a copy is also how one "
        "starts two weights at the same point.",
        _HEAD
        + "class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.enc = nn.Linear(3, 3, bias=False)\n"
        "        self.dec = nn.Linear(3, 3, bias=False)\n        self.dec.weight = self.enc.weight\n",
        "One of the two does not require a gradient (a target network), or the copy goes through `nn.Parameter(...)`.",
    ),
    "SG108": Example(
        _model("        self.turned = self.raw.view(1, 3)\n\n    def forward(self, x):\n        return self.turned * x\n"),
        "A view shares the storage of the parameter and follows it, until `.to()`, `.double()`, `load_state_dict(assign=True)` or a copy "
        "gives the parameter another storage.",
        _model("\n    def forward(self, x):\n        return self.raw.view(1, 3) * x\n"),
        "The view is taken where it is used.",
    ),
    "SG109": Example(
        _model(_DERIVED) + _STEP.format("retain_graph=True"),
        "`retain_graph=True` takes the error away, not its cause: the value stays what it was at the start while the parameter runs off.",
        _model(_PROPERTY) + _STEP.format(""),
        "The retained graph is used again before the update: two losses of one forward, a gradient penalty.",
    ),
    "SG201": Example(
        _HEAD
        + "class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.cell = nn.GRUCell(3, 3)\n        self.h = torch.zeros(1, 3)\n\n"
        "    def forward(self, x):\n        self.h = self.cell(x, self.h)\n        return self.h\n",
        "The hidden state of this step hangs on the graph of the last one, which is freed and older than the update.",
        _HEAD
        + "class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.cell = nn.GRUCell(3, 3)\n        self.h = torch.zeros(1, 3)\n\n"
        "    def forward(self, x):\n        self.h = self.cell(x, self.h.detach())\n        return self.h\n",
        "The state is detached where it is taken over, or a method that is called, or other code, resets it.",
    ),
    "SG202": Example(
        _model("")
        + "\n\ndef train(model, optimizer, batches):\n    total = 0.0\n    for x in batches:\n        optimizer.zero_grad()\n"
        "        loss = (model.raw * x).square().mean()\n        loss.backward()\n        optimizer.step()\n        total += loss\n    return total\n",
        "`total` holds the graphs of all steps: memory grows until the program ends.",
        _model("")
        + "\n\ndef train(model, optimizer, batches):\n    total = 0.0\n    for x in batches:\n        optimizer.zero_grad()\n"
        "        loss = (model.raw * x).square().mean()\n        loss.backward()\n        optimizer.step()\n        total += loss.item()\n    return total\n",
        "The sum is itself differentiated, once per update (gradient accumulation).",
    ),
    "SG301": Example(
        _model(
            "        self.w = nn.Parameter(torch.ones(3))\n\n    def forward(self, x):\n        return self.raw.data * self.w * x\n"
        ),
        "The number reaches the loss, the graph does not: `raw.grad` stays `None`.",
        _model(
            "        self.w = nn.Parameter(torch.ones(3))\n\n    def forward(self, x):\n        return self.raw * self.w * x\n"
        ),
        "Another way to the result carries the graph; the number is only logged; the class updates the parameter by hand; "
        "a whole submodule runs under `no_grad` and no optimizer of the program holds it.",
    ),
    "SG302": Example(
        _model(
            "        self.v = nn.Parameter(torch.ones(3)).double()\n\n    def forward(self, x):\n        return self.raw * x + self.v\n"
        ),
        "`.double()`, `.to()`, `.cuda()` of a Parameter give a tensor that is no Parameter; a plain list hides Parameters and modules from "
        "`parameters()`.",
        _model(
            "        self.v = nn.Parameter(torch.ones(3).double())\n\n    def forward(self, x):\n        return self.raw * x + self.v\n"
        ),
        "The same tensors are also registered (`setattr`, `register_parameter`, `nn.ModuleList`), or given to an optimizer.",
    ),
    "SG303": Example(
        _model("\n    def forward(self, x):\n        self.raw.clamp_(0, 1)\n        return self.raw * x\n"),
        "A leaf that requires a gradient must not be changed in place while gradients are recorded.",
        _model(
            "\n    def forward(self, x):\n        with torch.no_grad():\n            self.raw.clamp_(0, 1)\n        return self.raw * x\n"
        ),
        "The change is under `no_grad`, on `.data`, or on a parameter that does not require a gradient.",
    ),
    "SG401": Example(
        _model("") + "\n\ndef make():\n    model = Model()\n    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "    model.raw = nn.Parameter(torch.ones(3))\n    return model, optimizer\n",
        "The optimizer holds the parameter that `raw` was; the new one never moves. A derived tensor in the list raises at once.",
        _model("") + "\n\ndef make():\n    model = Model()\n    model.raw = nn.Parameter(torch.ones(3))\n"
        "    return model, torch.optim.SGD(model.parameters(), lr=0.1)\n",
        "The new parameter is added with `add_param_group`, or a new optimizer is built over it. `.to()` after the optimizer is fine: it "
        "keeps the parameters, unless `torch.__future__.set_overwrite_module_params_on_conversion(True)`.",
    ),
}
