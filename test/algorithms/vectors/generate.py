"""Writes the vectors of this folder, or some: `python generate.py [lsq ...]`; see README.md."""
import gzip
import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import formulas

HERE = Path(__file__).parent
SHAPE = (2, 3, 2, 4)  # a kernel, or two samples
INPUTS = 112  # tried in order, until there are
CASES = 56  # of each scheme
BITS = (2, 3, 4, 8)
MARGIN = 1e-3  # steps
torch.manual_seed(0)


@dataclass(frozen=True)
class Site:
    """Where a tensor is quantized; a scheme is one without its bits."""

    weight: bool
    symmetric: bool = True
    signed: bool = True
    narrow: bool = False
    channel: bool = False
    pow2: bool = False
    rectified: bool = False
    bits: int = 4

    @property
    def qmin(self):
        return (-(2 ** (self.bits - 1)) + self.narrow) if self.signed else 0

    @property
    def qmax(self):
        return 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1

    @property
    def levels(self):
        return self.qmax - self.qmin

    @property
    def parts(self):  # one bit of what can be negative is its sign
        return 2 ** (self.bits if self.rectified else self.bits - 1) - 1

    @property
    def scales(self):
        return SHAPE[3] if self.channel else 1

    @property
    def features(self):  # of one sample
        return math.prod(SHAPE if self.weight else SHAPE[1:])

    def per_scale(self, reduce):
        """A reduction such as x.amax over what shares a scale, broadcast again."""
        axes = (0, 1, 2) if self.channel else (0, 1, 2, 3)
        return reduce(dim=axes, keepdim=True).expand(SHAPE)

    def describe(self):
        scheme = {
            "bitWidth": self.bits,
            "signed": self.signed,
            "symmetric": self.symmetric,
            "narrowRange": self.narrow,
            "granularity": "perChannel" if self.channel else "perTensor",
            "scaleForm": "powerOfTwo" if self.pow2 else "fp32",
        }
        role = "weight" if self.weight else "activation"
        return {"role": role, "scheme": scheme, "nonNegative": self.rectified}


W = dict(weight=True)
A = dict(weight=False)
WEIGHTS = [
    Site(**W),
    Site(**W, channel=True),
    Site(**W, channel=True, narrow=True),
    Site(**W, symmetric=False, signed=False),
    Site(**W, symmetric=False, signed=False, channel=True),
    Site(**W, pow2=True),
]
UNSIGNED = Site(**A, signed=False, rectified=True)
AFFINE = [
    Site(**A, symmetric=False, signed=False),
    Site(**A, symmetric=False, signed=False, rectified=True),
    Site(**A, symmetric=False),
]
ACTIVATIONS = [Site(**A), UNSIGNED, Site(**A, rectified=True), *AFFINE, Site(**A, pow2=True)]
ACADEMIC = [Site(**W), Site(**A), UNSIGNED]
BELOW_8 = (2, 3, 4)


def draw_input(rng, kind, size, rectified):
    x = {
        "normal": lambda: rng.normal(size=SHAPE),
        "uniform": lambda: rng.uniform(-1.7, 1.7, SHAPE),
        "laplace": lambda: rng.laplace(size=SHAPE),
        "sparse": lambda: rng.normal(size=SHAPE) * (rng.uniform(size=SHAPE) < 0.3),
        "constant": lambda: np.full(SHAPE, rng.normal()),
        "skewed": lambda: np.exp(rng.normal(size=SHAPE)) - 0.5,
        "dead": lambda: rng.normal(size=SHAPE) * [1, 0, 1, 0.1],
    }[kind]()
    if rectified:
        x = np.abs(x) if kind in ("constant", "uniform") else np.maximum(x, 0)
    mantissa, exponent = np.frexp(x * size)  # 12 bits are exact in float32, and small when packed
    return np.ldexp(np.round(mantissa * 4096) / 4096, exponent)


def draw_inputs(seed, rectified):
    rng = np.random.default_rng(seed)
    kinds = ["normal", "uniform", "laplace", "sparse", "constant", "skewed", "dead"]
    x = [
        draw_input(rng, kinds[i % 7], 10 ** rng.uniform(-6, 4), rectified) for i in range(INPUTS)
    ]
    dy = rng.integers(1, 17, (INPUTS, *SHAPE)) * rng.choice([-1, 1], (INPUTS, *SHAPE)) / 8
    return np.array(x), dy


class Draw:
    """First values as training might meet them: near what fits the data, and off by some factor."""

    def __init__(self, rng, x, site):
        self.rng, self.site = rng, site
        axes = (0, 1, 2) if site.channel else None
        self.shape = (1, 1, 1, SHAPE[3]) if site.channel else ()
        self.mean = np.reshape(np.abs(x).mean(axes), self.shape) + 1e-3 * np.abs(x).mean()
        self.reach = np.reshape(np.abs(x).max(axes), self.shape) + 1e-3 * np.abs(x).max()

    def times(self, value, low, high):
        return value * np.exp(self.rng.uniform(math.log(low), math.log(high), self.shape))

    def affine(self, values):
        """With a zero point where the grid has one, now and then beyond its range."""
        if self.site.symmetric:
            return values
        site = self.site
        zero = self.rng.uniform(site.qmin - 1, site.qmax + 1, self.shape)
        return {**values, "zeroPoint": np.full(self.shape, float(site.qmin)) if site.rectified else zero}


def lsq_values(d):
    return d.affine({"scale": d.times(2 * d.mean / math.sqrt(d.site.qmax), 0.4, 2.5)})


def lsq_mqbench_values(d):
    values = lsq_values(d)
    return {**values, "scale": values["scale"] * d.rng.choice([1, 1, 1, -1], d.shape)}


def pact_values(d):
    own_low = not d.site.symmetric and not d.site.rectified
    beta = {"beta": -d.times(d.reach, 0.3, 1.2)} if own_low else {}
    return {"alpha": d.times(d.reach, 0.3, 1.2), **beta}


def dsq_values(d):
    own_low = not d.site.symmetric and not d.site.rectified
    lower = {"lower": -d.times(d.reach, 0.05, 1.2)} if own_low else {}
    return {"upper": d.times(d.reach, 0.3, 1.2), **lower, "alpha": d.rng.uniform(0.05, 0.45, d.shape)}


def fixed_grid(d, scale):
    values = d.affine({"scale": scale})
    return {name: np.round(v) if name == "zeroPoint" else v for name, v in values.items()}


def unit_grid(d):
    if d.site.weight:
        return {}
    low = 0 if d.site.rectified else -1
    steps = d.site.levels / (2 if d.site.symmetric and d.site.signed else 1)
    width = 1 if d.site.symmetric else 1 - low
    return fixed_grid(d, np.array(2 ** np.round(np.log2(width / steps)) if d.site.pow2 else width / steps))


def statistical_grid(d):
    return {} if d.site.weight else fixed_grid(d, d.times(d.reach / d.site.levels, 0.3, 1.5))


def interval_values(d, **others):
    return {"center": d.times(d.reach / 2, 0.5, 1.2), "distance": d.times(d.reach / 2, 0.4, 1.2), **others}


def qil_values(d):
    return interval_values(d, **({"gamma": d.rng.uniform(0.5, 1.8)} if d.site.weight else {}))


def qil_mqbench_values(d):
    return interval_values(d, **({} if d.site.weight else {"limit": d.reach / 2}))


def apot_values(d):
    return {"alpha": np.array(d.rng.uniform(1, 4)) if d.site.weight else d.times(d.reach, 0.3, 1.2)}


def palquant_values(d):
    low = d.reach * (d.rng.uniform(-0.2, 0.1) if d.site.rectified else -d.rng.uniform(0.4, 1.2))
    scale = {"outputScale": d.times(d.reach, 0.5, 2)} if d.site.weight else {}
    return {"lower": low, "upper": d.times(d.reach, 0.4, 1.2), **scale}


def channelwise_values(d):
    widths = sum(bits <= d.site.bits for bits in (2, 4, 8))
    return {"logits": d.rng.normal(size=(widths, SHAPE[3])), "temperature": np.array(d.rng.uniform(0.5, 5))}


def rounding_values(d):
    return {
        **fixed_grid(d, d.times(d.reach / d.site.levels * 2, 0.6, 1.2)),
        "rounding": d.rng.normal(size=SHAPE) * 2,
        **({"zeroPoint": np.zeros(d.shape)} if d.site.symmetric else {}),
    }


# Algorithm, schemes, first values, what is learned, bits if not all.
ALL = WEIGHTS + ACTIVATIONS
NOT_SIGNED = [UNSIGNED, *AFFINE]  # on others every clipped value of pactMqbench is a tie
TABLE = {
    "lsq": (formulas.lsq, ALL, lsq_values, ["scale", "zeroPoint"]),
    "lsqMqbench": (formulas.lsq_mqbench, ALL, lsq_mqbench_values, ["scale", "zeroPoint"]),
    "pact": (formulas.pact, ACTIVATIONS, pact_values, ["alpha", "beta"]),
    "pactMqbench": (formulas.pact_mqbench, NOT_SIGNED, pact_values, ["alpha", "beta"]),
    "dorefa": (formulas.dorefa, ALL, unit_grid, []),
    "dorefaMqbench": (formulas.dorefa_mqbench, ALL, unit_grid, []),
    "dsq": (formulas.dsq, ALL, dsq_values, ["lower", "upper", "alpha"]),
    "dsqMqbench": (formulas.dsq_mqbench, ALL, statistical_grid, []),
    "tqt": (
        formulas.tqt,
        ALL,
        lambda d: {"log2Threshold": np.log2(d.times(d.reach, 0.3, 1.5))},
        ["log2Threshold"],
    ),
    "qil": (formulas.qil, ACADEMIC, qil_values, ["center", "distance", "gamma"], BELOW_8),
    "qilMqbench": (formulas.qil_mqbench, ACADEMIC, qil_mqbench_values, ["center", "distance"], BELOW_8),
    "apot": (formulas.apot, ACADEMIC, apot_values, ["alpha"], BELOW_8),
    "palquant": (
        formulas.palquant,
        [Site(**W), UNSIGNED],
        palquant_values,
        ["lower", "upper", "outputScale"],
        BELOW_8,
    ),
    "channelwiseSize": (formulas.channelwise, WEIGHTS[1:3], channelwise_values, ["logits"], (4, 8)),
    "adaRound": (formulas.soft_rounding, WEIGHTS[:5], rounding_values, ["rounding"]),
    "logarithmic": (formulas.logarithmic, [Site(**W), Site(**A)], lambda d: {"limit": d.reach}, [], (8,)),
}


def expanded(value):
    """One number for each element of x, so that its gradient shows what each contributes."""
    tensor = torch.tensor(value, dtype=torch.float64)
    if tensor.dim() == 2:  # [widths, channels]
        return tensor[:, None, None, None, :].expand(-1, *SHAPE).clone()
    return tensor.expand(SHAPE).clone()


def summed(gradient, product, value):
    """Back to the shape of the value; and beside it, what float32 rounds: the sum of magnitudes, and a
    thousandth of sum |dy y| / |value|, from which it may be left over."""
    shape = value.shape
    leftover = 1e-3 * product.abs() / torch.tensor(np.where(value == 0, 1, np.abs(value)).max())
    parts = (gradient, gradient.abs() + leftover)
    if shape == gradient.shape:
        return tuple(part.numpy() for part in parts)
    if len(shape) == 2:
        axes = (1, 2, 3)
    else:
        axes = tuple(i for i in range(4) if len(shape) == 0 or shape[i] == 1)
    return tuple(np.reshape(part.sum(axes).numpy(), shape) for part in parts)


def compute(formula, site, x, dy, values, learned):
    """Output and gradients, or nothing where float32 may decide otherwise for all."""
    numbers = {name: expanded(v) for name, v in values.items()}
    trained = [name for name in learned if name in numbers]
    x = torch.tensor(x, requires_grad=True)
    for name in trained:
        numbers[name].requires_grad_()
    y, near = formula(x, numbers, site)
    unsure = (near < MARGIN).numpy()
    if unsure.mean() > 0.5:
        return None
    dy = torch.tensor(np.where(unsure, 0, dy))
    y.backward(dy)
    result = {"y": np.where(unsure, np.nan, y.detach().numpy())}
    if x.grad is not None:
        result["dx"] = x.grad.numpy()
    for name in trained:
        gradient = numbers[name].grad
        product = (dy * y.detach()).expand(gradient.shape)
        result[f"d {name}"], result[f"size {name}"] = summed(gradient, product, values[name])
    return result


def shortened(array):
    """float32 with 16 significant bits."""
    whole = np.asarray(array, dtype="<f4")
    bits = whole.view("<u4")
    rounded = np.where(np.isfinite(whole), (bits + 0x80) & 0xFFFFFF00, bits)
    return rounded.astype("<u4").view("<f4")


def write(name, header, arrays):
    """A gzip of: the header's length, the header, then byte 0 of all floats, byte 1, and so on."""
    data = b"".join(shortened(a).tobytes() for a in arrays)
    planes = np.frombuffer(data, np.uint8).reshape(-1, 4).T.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    content = len(text).to_bytes(4, "little") + text + planes
    (HERE / f"{name}.gz").write_bytes(gzip.compress(content, 9, mtime=0))


def generate(name, inputs):
    formula, schemes, draw, learned, *bits = TABLE[name]
    rng = np.random.default_rng(sorted(TABLE).index(name))
    groups, arrays = [], []
    for scheme in schemes:
        xs, dys = inputs[scheme.rectified]
        cases = []
        for i in range(INPUTS):
            if len(cases) == CASES:
                break
            widths = bits[0] if bits else BITS
            site = Site(**{**scheme.__dict__, "bits": widths[i // 7 % len(widths)]})
            for _ in range(20):
                drawn = draw(Draw(rng, xs[i], site))
                values = {field: np.float64(shortened(v)) for field, v in drawn.items()}
                result = compute(formula, site, xs[i], dys[i], values, learned)
                if result is not None:
                    cases.append((site, {"input": np.float64(i), **values, **result}))
                    break
        assert len(cases) == CASES, (name, scheme, len(cases))
        for site in dict.fromkeys(site for site, _ in cases):
            own = [fields for other, fields in cases if other == site]
            shapes = {field: list(np.shape(own[0][field])) for field in own[0]}
            groups.append({**site.describe(), "cases": len(own), "fields": shapes})
            arrays += [np.array([fields[field] for fields in own]) for field in shapes]
    write(name, {"groups": groups}, arrays)
    return sum(group["cases"] for group in groups)


def main():
    inputs = {rectified: draw_inputs(seed, rectified) for seed, rectified in ((1, False), (2, True))}
    shape = [INPUTS, *SHAPE]
    header = {"fields": [["x", shape], ["dy", shape], ["rectified x", shape], ["rectified dy", shape]]}
    write("inputs", header, [*inputs[False], *inputs[True]])
    for name in sys.argv[1:] or TABLE:
        print(name, generate(name, inputs))
    files = sorted(HERE.glob("*.gz"))
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files]
    (HERE / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main()
