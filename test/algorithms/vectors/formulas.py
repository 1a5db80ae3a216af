"""Quantizers as their papers (or MQBench's code) define them, in float64 with PyTorch's autograd.

Each is a function of x, the quantizer's numbers (expanded to x's shape, so that gradients show what
each element contributes) and its site. It gives the output and how far each element is from where
float32 could decide otherwise: a tie, a bound, a border between levels (in steps; inf for "never").
Nothing here is taken from the project's own code but its conventions: integers from -2^(b-1) (or
0, or 1 - 2^(b-1) where the range is narrow) and scales of at least 2^-23.
"""
import math

import torch

MIN_SCALE = 2.0**-23
INF = float("inf")


def through(x, value):
    """`value`, with the gradient of x (straight-through estimator)."""
    return x + (value - x).detach()


def scaled(x, factor):
    """x, with its gradient times a factor."""
    return x * factor + (x - x * factor).detach()


def round_ste(x):
    return through(x, torch.round(x))


def from_tie(u):
    return (u - torch.floor(u) - 0.5).abs()


def distance(u, lowest, highest, bounds=True):
    """Steps from the next tie that matters, and from the bounds unless they do not decide."""
    inside = (u > lowest - 1) & (u < highest + 1)
    near = torch.where(inside, from_tie(u), torch.full_like(u, INF))
    if bounds:
        edges = torch.minimum((u - lowest).abs(), (u - highest).abs())
        near = torch.minimum(near, edges)
    return torch.where(u == 0, torch.full_like(u, INF), near).detach()


def positive(scale, site):
    """At least MIN_SCALE; a power of two where the device wants one: 2^round(log2 s)."""
    usable = through(scale, torch.clamp(scale, min=MIN_SCALE))
    if not site.pow2:
        return usable, INF
    exponent = torch.log2(usable)
    return 2 ** round_ste(exponent), float(from_tie(exponent).min())


def clip(u, lowest, highest):
    """Values at the bounds count as inside."""
    return torch.where(u < lowest, lowest, torch.where(u > highest, highest, u))


def ends(site, zero):
    return site.qmin - zero, site.qmax - zero


# LSQ (Esser et al., equations 1 to 3, section 2.2), LSQ+ for the zero point.
def lsq(x, v, site):
    g = 1 / math.sqrt(site.features / site.scales * site.qmax)
    s, sure = positive(scaled(v["scale"], g), site)
    zero = torch.zeros_like(s)
    if not site.symmetric:
        z = scaled(v["zeroPoint"], g)
        sure = min(sure, float(from_tie(z).min()))
        zero = through(z, torch.round(torch.clamp(z, site.qmin, site.qmax)))
    u = x / s
    lowest, highest = ends(site, zero)
    return round_ste(clip(u, lowest, highest)) * s, distance(u, lowest, highest).clamp(max=sure)


# MQBench's LearnableFakeQuantize: rounds, then clamps, so that the rounded value decides.
def lsq_mqbench(x, v, site):
    g = 1 / math.sqrt(x.numel() / site.scales * site.qmax)
    s, sure = positive(scaled(v["scale"].abs(), g), site)
    zero = torch.zeros_like(s)
    if not site.symmetric:
        z = v["zeroPoint"]
        sure = min(sure, float(from_tie(z).min()))
        zero = scaled(through(z, torch.round(torch.clamp(z, site.qmin, site.qmax))), g)
    u = x / s
    code = torch.clamp(round_ste(u) + zero, site.qmin, site.qmax)
    near = distance(u, *ends(site, zero), bounds=False)
    return (code - zero) * s, near.clamp(max=sure)


# PACT (Choi et al., section 3): y = clip(x, lower, alpha), then rounded straight through. The grid has
# whole steps about 0; what is clipped is put on its end and belongs to the learned bound.
def pact(x, v, site):
    high = v["alpha"]
    low = torch.zeros_like(high) if site.rectified else v.get("beta", -high)
    if site.symmetric:
        s, sure = positive((high / site.qmax).detach(), site)
        zero = torch.zeros_like(s)
    else:
        s, sure = positive(((high - low) / site.levels).detach(), site)
        exact = site.qmin - (low / s).detach()
        sure = min(sure, float(from_tie(exact).min()))
        zero = torch.clamp(torch.round(exact), site.qmin, site.qmax)
    u = (x / s).detach()
    lowest, highest = ends(site, zero)
    inner = torch.where(u >= highest, high, torch.where(u < lowest, low, x))
    y = torch.round(clip(u, lowest, highest)) * s
    return through(inner, y), distance(u, lowest, highest).clamp(max=sure)


def covering(low, high, site):
    """PyTorch's observers: 0 is in range; symmetric grids reach half a step beyond qmax."""
    low, high = torch.clamp(low, max=0), torch.clamp(high, min=0)
    reach = torch.maximum(-low, high)
    if site.symmetric:
        steps = site.levels / 2 if site.signed else site.levels
        s, sure = positive(reach / steps, site)
        return s, torch.zeros_like(s), sure
    s, sure = positive((high - low) / site.levels, site)
    exact = site.qmin - low / s
    zero = torch.clamp(torch.round(exact), site.qmin, site.qmax)
    return s, zero, min(sure, float(from_tie(exact).min()))


def fake_quantize(x, s, zero, site):
    """torch.fake_quantize: dx = dy where the rounded value is one of the integers."""
    code = torch.clamp(round_ste(x / s) + zero, site.qmin, site.qmax)
    return (code - zero) * s, distance(x / s, *ends(site, zero), bounds=False)


def clipped_ste(x, s, zero, site):
    """The same where the value itself lies between the ends."""
    u = x / s
    lowest, highest = ends(site, zero)
    return round_ste(clip(u, lowest, highest)) * s, distance(u, lowest, highest)


# MQBench's PACT: where(x > alpha, alpha, x), then fake quantization on the grid over the bounds.
def pact_mqbench(x, v, site):
    high = v["alpha"]
    low = torch.zeros_like(high) if site.rectified else v.get("beta", -high)
    s, zero, sure = covering(low.detach(), high.detach(), site)
    clipped = torch.where(x > high, high, torch.where(x < low, low, x))
    y, near = fake_quantize(clipped, s, zero, site)
    return y, near.clamp(max=sure)


# DoReFa (Zhou et al., equation 9) on the integer grid over its extremes; `rescale` is the gain that
# keeps the mean magnitude. MQBench leaves the gain out and asks where the rounded value lies.
def dorefa_weight(x, site, rescale, quantize):
    t = torch.tanh(x)
    normal = t / (t.abs().max() + 1e-5)
    if rescale:
        normal = normal * (x.abs().mean() / (normal.abs().mean() + 1e-12)).detach()
    low, high = site.per_scale(normal.detach().amin), site.per_scale(normal.detach().amax)
    s, zero, sure = covering(low, high, site)
    y, near = quantize(normal, s, zero, site)
    saturated = bool(x.detach().abs().min() > 4)  # 1 - tanh^2 has no digits left in float32
    return y, near.clamp(max=0 if saturated else sure)


def dorefa(x, v, site):
    if site.weight:
        return dorefa_weight(x, site, True, clipped_ste)
    return clipped_ste(x, v["scale"], v.get("zeroPoint", torch.zeros_like(x)), site)


def dorefa_mqbench(x, v, site):
    if site.weight:
        return dorefa_weight(x, site, False, fake_quantize)
    return fake_quantize(x, v["scale"], v.get("zeroPoint", torch.zeros_like(x)), site)


def staircase(n, alpha):
    """DSQ's equations 3 to 8 in steps, then rounded straight through."""
    index = torch.floor(n).detach()
    height = 1 / (1 - alpha)
    wave = torch.tanh(torch.log(2 / alpha - 1) * (n - index - 0.5))
    return round_ste(index + 0.5 + 0.5 * height * wave)


# DSQ (Gong et al.): l + delta (i + (phi + 1) / 2) between the learned bounds, which are moved to
# whole steps about 0 straight through.
def dsq(x, v, site):
    high, alpha = v["upper"], v["alpha"]
    if site.symmetric:
        width = high / site.qmax
        s, sure = positive(width.detach(), site)
        delta = through(width, s)
        top, bottom = site.qmax * delta, site.qmin * delta
        y = staircase(x / delta, alpha) * delta
        y = torch.where(x > top, top, torch.where(x < bottom, bottom, y))
        return y, distance((x / s).detach(), site.qmin, site.qmax).clamp(max=sure)
    low = torch.zeros_like(high) if site.rectified else v["lower"]
    width = (high - low) / site.levels
    s, sure = positive(width.detach(), site)
    exact = site.qmin - low.detach() / s
    zero = torch.clamp(torch.round(exact), site.qmin, site.qmax)
    lowest, highest = ends(site, zero)
    delta, start = through(width, s), through(low, s * lowest)
    above, below = x > s * highest, x < s * lowest
    inner = start + staircase((x - start) / delta, alpha) * delta
    y = torch.where(above, start + site.levels * delta, torch.where(below, start, inner))
    sure = min(sure, float(from_tie(exact).min()))
    return y, distance((x / s).detach(), lowest, highest).clamp(max=sure)


# MQBench's DSQ: alpha 0.4; weights over mean +- 2.6 deviations, activations on a given grid.
def dsq_mqbench(x, v, site):
    if site.weight:
        mean, deviation = site.per_scale(x.detach().mean), site.per_scale(x.detach().std)
        s, zero, sure = covering(mean - 2.6 * deviation, mean + 2.6 * deviation, site)
    else:
        s, zero, sure = v["scale"], v.get("zeroPoint", torch.zeros_like(x)), INF
    u = x / s
    n = clip(u, *ends(site, zero))
    return staircase(n, torch.tensor(0.4).double()) * s, distance(u, *ends(site, zero)).clamp(max=sure)


# TQT (Jain et al., equations 4 to 8): s = 2^ceil(log2 t) / 2^(b-1), clipped after rounding.
def tqt(x, v, site):
    zero = 0 if site.signed or site.rectified else 2 ** (site.bits - 1)
    log2 = v["log2Threshold"]
    exponent = torch.ceil(log2) - math.log2(site.qmax + 1 - zero)
    s = 2 ** through(log2, torch.clamp(exponent, math.log2(MIN_SCALE), 60))
    u = x / s
    y = torch.clamp(round_ste(u), site.qmin - zero, site.qmax - zero) * s
    border = float((log2 - torch.round(log2)).abs().min())
    return y, distance(u, site.qmin - zero, site.qmax - zero, bounds=False).clamp(max=border)


# QIL (Jung et al., equations 4 and 5), center and distance at a hundredth of the rate.
def qil(x, v, site):
    return interval(x, scaled(v["center"], 0.01), scaled(v["distance"], 0.01), v.get("gamma"), site)


def interval(x, center, width, gamma, site):
    size = x if site.rectified else x.abs()
    straight = 0.5 / width * size - 0.5 * center / width + 0.5
    inside = (straight > 0) & (straight < 1)
    curved = torch.where(inside, straight, torch.full_like(x, 0.5))
    curved = curved if gamma is None else curved**gamma
    full = torch.where(straight >= 1, torch.ones_like(x), torch.zeros_like(x))
    parts = site.parts * torch.where(inside, curved, full)
    near = torch.where(inside, from_tie(parts), torch.full_like(x, INF))
    near = torch.minimum(near, 100 * torch.minimum(straight.abs(), (straight - 1).abs()))
    rounded = round_ste(parts) / site.parts
    return rounded if site.rectified else rounded * torch.sign(x), near.detach()


# MQBench's QIL: no gamma, LSQ's gradient scale with the largest signed integer; center and distance
# at most half of the largest magnitude; clamped for unsigned tensors too.
def qil_mqbench(x, v, site):
    g = 1 / math.sqrt(x.numel() * (2 ** (site.bits - 1) - 1))
    limit = x.detach().abs().max() / 2 if site.weight else v["limit"]
    center, width = (
        scaled(through(v[name], torch.minimum(v[name], limit)), g) for name in ("center", "distance")
    )
    return interval(x, center, width, None, site)


# APoT (Li et al., equation 5 and the authors' code): sums of powers of two.
def apot_levels(bits):
    if bits == 1:
        sets = [[0, 1]]
    elif bits == 2:
        sets = [[0] + [2.0**-i for i in (1, 2, 3)]]
    elif bits == 3:
        sets = [[0, 2**-1, 2**-2, 2**-4], [0, 2**-3]]
    else:
        sets = [[0] + [2.0 ** -(2 * i + 1) for i in range(3)], [0] + [2.0 ** -(2 * i + 2) for i in range(3)]]
    sums = {0.0}
    for terms in sets:
        sums = {a + b for a in sums for b in terms}
    return torch.tensor(sorted(sums), dtype=torch.float64) / max(sums)


def apot(x, v, site):
    if site.weight:
        x = (x - x.mean().detach()) / (x.std().detach() + 1e-5)
    alpha = through(v["alpha"], torch.clamp(v["alpha"], min=1e-5))
    part = x / alpha
    limited = torch.clamp(part, 0 if site.rectified else -1, 1)
    levels = apot_levels(site.bits if site.rectified else site.bits - 1)
    apart = (limited.detach().abs().unsqueeze(-1) - levels).abs().sort(-1)
    projected = levels[apart.indices[..., 0]] * torch.sign(limited)
    border = apart.values[..., 1] - apart.values[..., 0]
    near = torch.minimum(border, (part.abs() - 1).abs()).detach() * len(levels)
    return through(limited, projected) * alpha, near


# PalQuant (Hu et al.): parts of the interval between learned bounds, which learn from inside alone.
def palquant(x, v, site):
    parts = site.levels
    g = 1 / math.sqrt(site.features * parts)
    low, high = scaled(v["lower"], g), scaled(v["upper"], g)
    width = through(high - low, torch.clamp(high - low, min=MIN_SCALE))
    share = (x - low) / width
    u = torch.clamp(share, 0, 1) * parts
    near = distance(share.detach() * parts, 0, parts)
    part = round_ste(u) / parts
    if site.weight:
        return 2 * (part - 0.5) * scaled(v["outputScale"], g), near
    return part * (v["upper"] - v["lower"]).detach() + v["lower"].detach(), near


# Risso et al.: a softmax mixture of the weight at 2, 4 and 8 bits; logits at ten times the rate.
def channelwise(x, v, site):
    widths = [bits for bits in (2, 4, 8) if bits <= site.bits]
    logits = scaled(v["logits"], 10) / v["temperature"]
    shares = torch.softmax(logits, 0)
    total, near = torch.zeros_like(x), torch.full_like(x, INF)
    for share, bits in zip(shares, widths):
        s = torch.clamp(2 * site.per_scale(x.detach().abs().amax) / (2**bits - 1), min=MIN_SCALE)
        half = 2 ** (bits - 1)
        lowest = 1 - half if site.narrow else -half
        u = x / s
        total = total + through(u, torch.clamp(torch.round(u), lowest, half - 1)) * s * share
        near = torch.minimum(near, distance(u, lowest, half - 1, bounds=False))
    return total, near


# AdaRound (Nagel et al., equations 22 and 23): floor(w / s) + h(V).
def soft_rounding(x, v, site):
    h = torch.clamp(torch.sigmoid(v["rounding"]) * 1.2 - 0.1, 0, 1)
    u = (x / v["scale"]).detach()
    code = torch.floor(u) + h + v["zeroPoint"]
    near = torch.minimum((u - torch.round(u)).abs(), (code.detach() - site.qmin).abs())
    near = torch.minimum(near, (code.detach() - site.qmax).abs())
    near = torch.where(u == 0, torch.full_like(u, INF), near)
    return (torch.clamp(code, site.qmin, site.qmax) - v["zeroPoint"]) * v["scale"], near


# MQBench's NNIE format: 2^((code + m) / 16), m = round(16 log2 max) - 127; gradients pass as they are.
def logarithmic(x, v, site):
    exact = 16 * torch.log2(v["limit"])
    m = torch.round(exact) - 127
    negative = (x < 0).double()
    u = 16 * torch.log2(x.abs() + 1e-300) - m
    code = torch.maximum(torch.clamp(torch.round(u), 0, 127), negative)
    zero = x.abs() < 2 ** ((m + negative) / 16 - 1)
    y = torch.where(zero, torch.zeros_like(x), torch.sign(x) * 2 ** ((code + m) / 16))
    near = torch.minimum(from_tie(u), (u - negative + 16).abs())
    near = torch.where(u.abs() < 200, near, torch.full_like(near, INF))
    return through(x, y), near.detach().clamp(max=float(from_tie(exact).min()))
