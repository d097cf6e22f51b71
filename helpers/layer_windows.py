"""The layers of a network as windows, and what each of them reads, from one pass of an empty image."""

import copy
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import fx, nn
from torch.nn.modules.dropout import _DropoutNd

from helpers.errors import InputError
from helpers.models import explain_failure

# Kinds of layers, functions and tensor methods: their names without case, "_" and number of dimensions.
FAMILIES = {
    "joined": "add iadd sub isub rsub mul imul div truediv neg abs pow square sqrt rsqrt exp log clamp maximum minimum "
    "where cat concat concatenate contiguous clone detach float to type identity batchnorm syncbatchnorm instancenorm "
    "groupnorm layernorm rmsnorm localresponsenorm dropout alphadropout featurealphadropout stochasticdepth",
    "arranged": "view viewas reshape reshapeas flatten unflatten squeeze unsqueeze permute transpose swapaxes movedim "
    "t chunk split tensorsplit unbind narrow select getitem expand expandas repeat channelshuffle mean sum amax amin",
    "mixed": "linear multiheadattention scaleddotproductattention matmul bmm einsum",
    "moved": "conv convtranspose maxpool avgpool lppool pad zeropad constantpad reflectionpad replicationpad "
    "circularpad adaptiveavgpool adaptivemaxpool pixelshuffle pixelunshuffle upsample upsamplingnearest "
    "upsamplingbilinear interpolate",
}
KINDS = {kind.lower(): "joined" for kind in nn.modules.activation.__all__}
KINDS |= {kind: family for family, kinds in FAMILIES.items() for kind in kinds.split()}
RESIZED = {"adaptiveavgpool": "area", "adaptivemaxpool": "area", "pixelunshuffle": "area", "pixelshuffle": "nearest"}
RESIZED |= dict.fromkeys(("upsample", "upsamplingnearest", "upsamplingbilinear", "interpolate"), "")
MODES = {"nearest": "nearest", "area": "area", "linear": "linear", "bilinear": "linear", "trilinear": "linear"}
# What a function takes after the map.
ARGUMENTS = {
    "maxpool": "kernel_size stride padding dilation",
    "avgpool": "kernel_size stride padding",
    "pad": "padding",
}
ARGUMENTS |= {"lppool": "norm_type kernel_size stride", "interpolate": "size scale_factor mode align_corners"}
ARGUMENTS |= {
    "conv": "weight bias stride padding dilation",
    **dict.fromkeys(("softmax", "logsoftmax", "softmin"), "dim"),
}
ARGUMENTS |= {"convtranspose": "weight bias stride padding output_padding groups dilation"}
MIXES = "mixes or rearranges pixels: no receptive field is known for it"


@dataclass(frozen=True)
class Window:
    """What one unit of a layer sees of its input, along one axis.

    Attributes:
        before: units of the input.
        after: units of the result.
        stride: units of the input from one result to the next; a fraction, where the result has more.
        padding: units added before the first one; below 0, cut off.
        mode: "slide", "transposed", "everything", or how a map is resized: "nearest", "linear", "area".
    """

    before: int
    after: int
    kernel: int = 1
    stride: int | Fraction = 1
    padding: int = 0
    dilation: int = 1
    mode: str = "slide"

    def taps(self, unit: int) -> Sequence[int]:
        """The units of the input that one of the result is computed from, on a map without end."""
        start, end = unit * self.stride, (unit + 1) * self.stride
        if self.mode == "transposed":
            places = [start + (self.padding - n * self.dilation) * self.stride for n in range(self.kernel)]
            return [int(place) for place in places if place.denominator == 1]
        if self.mode == "linear":
            return sorted({math.floor((start + end - 1) / 2), math.ceil((start + end - 1) / 2)})
        if self.mode != "slide":
            return range(math.floor(start), math.ceil(end) if self.mode == "area" else math.floor(start) + 1)
        return range(start - self.padding, start - self.padding + self.kernel * self.dilation, self.dilation)

    def run(self, line: torch.Tensor) -> torch.Tensor:
        """A linear stand-in with equal weights: from values along the axis, as many as there are, to results."""
        count = self.after + math.floor((len(line) - self.before) / Fraction(self.stride))
        if self.mode == "everything":
            return line.mean().expand(count)
        result, period = line.new_zeros(count), self.stride.denominator
        for phase in range(min(period, count)):
            units = torch.arange(phase, count, period)
            for tap in self.taps(phase):
                places = tap + units // period * self.stride.numerator
                inside = (places >= 0) & (places < len(line))
                result = result.index_add(0, units[inside], line[places[inside]])
        return result


@dataclass(frozen=True, eq=False)
class Step:
    """A layer, or a function called instead of one.

    Attributes:
        inputs: the steps that it reads, joined unit by unit; none for the image itself.
        windows: moved over them, one for each axis of the image.
        dims: which axis of the tensor is that axis of the image; None where it has one unit, or is folded away.
    """

    layer: str
    inputs: tuple["Step", ...]
    windows: tuple[Window, ...]
    dims: tuple[int | None, ...]

    def enter(self, axis: int) -> list[Window]:
        """What makes the inputs equally large: as in squeeze-and-excitation, a single unit is spread over all."""
        sizes, size = [step.windows[axis].after for step in self.inputs], self.windows[axis].before
        pooled = [Window(before, 1, before, before) for before in sizes]
        spread = [Window(before, size, stride=Fraction(before, size), mode="everything") for before in sizes]
        others = pooled if size == 1 else spread
        return [Window(size, size) if before == size else other for before, other in zip(sizes, others)]


def list_steps(model: nn.Module, input_shape: tuple[int, ...]) -> list[Step]:
    """The image, and the steps of a network in execution order, from one pass over an empty image.

    Raises:
        InputError: it cannot be traced, does not take such an image, or has a layer whose windows are not known.
    """
    if not 2 <= len(input_shape) <= 4:
        raise InputError(f"input_shape must be (channels, height, width), or with 1 or 3 sizes, not {input_shape}")
    model = _copy(model)
    try:
        traced = fx.GraphModule(model, _Tracer().trace(model))
    except Exception as error:
        cause = str(error).partition("\n")[0]
        raise InputError(f"{type(model).__name__} decides at run time which layers it calls: {cause}") from error
    run = fx.Interpreter(traced, garbage_collect_values=False)
    with explain_failure(model, f"an image of shape {input_shape}"), torch.no_grad(), torch.random.fork_rng(devices=[]):
        run.run(torch.zeros(2, *input_shape))
    steps = _Reader(run, input_shape[1:]).read_all()
    if len(steps) == 1:
        raise InputError(f"{type(model).__name__} has no layers")
    return steps


def _copy(model: nn.Module) -> nn.Module:
    """A network on the CPU in eval mode, taken out of what it was wrapped in, that may be run without a trace."""
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError(f"{model.original_name} is compiled by torch.jit: give the network that it was made from")
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):  # of torch.compile
        model = model._orig_mod
    model = model.module if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)) else model
    try:
        single = _Tracer().is_leaf_module(model, "")
        return copy.deepcopy(nn.Sequential(model) if single else model).cpu().float().eval()
    except Exception as error:
        raise InputError(f"{type(model).__name__} keeps what has no copy, such as tensors of a run") from error


class _Tracer(fx.Tracer):
    """Stops at torch's layers, also at those derived from them without a forward pass of their own, and any dropout."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        inherited = type(module).forward.__module__.startswith("torch.nn") and not isinstance(module, nn.Sequential)
        return inherited or isinstance(module, _DropoutNd)


class _Reader:
    """Finds the windows between the values of a run; what a `_find_` method returns is a window and its `dims`."""

    def __init__(self, run: fx.Interpreter, sizes: tuple[int, ...]):
        self.run, self.values, self.rank, self.calls, self.arranged = run, run.env, len(sizes), Counter(), set()
        windows, dims = tuple(Window(size, size) for size in sizes), tuple(range(2, 2 + self.rank))
        self.steps = {next(iter(run.env)): Step("", (), windows, dims)}

    def read_all(self) -> list[Step]:
        """A step for each value that depends on the image, and is one tensor or several."""
        for node, value in self.values.items():
            inputs = [other for other in node.all_input_nodes if other in self.steps]
            first = value[0] if isinstance(value, (tuple, list)) and value else value  # not a shape
            if inputs and node.op != "output" and isinstance(first, torch.Tensor):
                self._read(node, inputs)
        return list(self.steps.values())

    def _read(self, node: fx.Node, inputs: list[fx.Node]) -> None:
        kind, name, options = self._identify(node)
        self.calls[name] += 1
        name = name if self.calls[name] == 1 else f"{name}#{self.calls[name]}"
        if kind not in KINDS:
            raise InputError(f"no receptive field is known for {name}, a {kind}")
        if not isinstance(self.values[node], torch.Tensor) and KINDS[kind] in ("joined", "moved"):
            raise InputError(f"{name} gives several tensors: no receptive field is known for them")
        if KINDS[kind] == "arranged":
            self.arranged.add(node)
            inputs = inputs[:1]  # expand_as reads but a shape of the other
        find = getattr(self, f"_find_{KINDS[kind]}")
        try:
            windows, dims = zip(*(find(node, inputs, axis, kind, options) for axis in range(self.rank)))
        except ValueError as error:
            raise InputError(f"{name} {error}") from None
        self.steps[node] = Step(name, tuple(self.steps[other] for other in inputs), windows, dims)

    def _identify(self, node: fx.Node) -> tuple[str, str, dict]:
        """Kind and name of what a node calls, and its options."""
        if node.op == "call_module":
            layer = self.run.module.get_submodule(node.target)
            kind = next(base.__name__ for base in type(layer).__mro__ if base.__module__.startswith("torch.nn"))
            return re.sub(r"_|\dd$", "", kind).lower(), node.target, vars(layer)
        kind = node.target if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
        kind = re.sub(r"_|\dd$", "", kind).lower()
        given, options = fx.node.map_arg((node.args[1:], dict(node.kwargs)), self.values.get)  # may be computed
        options = dict(zip(ARGUMENTS.get(kind, "").split(), given)) | options
        return kind, node.name, options | {"kernel_size": options["weight"].shape[2:]} if "conv" in kind else options

    def _find_joined(self, node, inputs, axis, kind, options):
        """Values computed each from one of every input."""
        rank, sizes = self.values[node].ndim, {self.steps[other].windows[axis].after for other in inputs}
        placed = [(self.steps[n].dims[axis], n) for n in inputs if self.steps[n].dims[axis] is not None]
        if not placed:
            return Window(min(sizes), min(sizes)), None
        dim, *others = {dim + rank - self.values[other].ndim for dim, other in placed}
        over = kind.endswith(("softmax", "softmin")) and (options.get("dim") or 1) % rank == dim
        if others or over or self.values[node].shape[dim] != max(sizes):
            raise ValueError(MIXES)
        return Window(max(sizes), max(sizes)), dim

    def _find_arranged(self, node, inputs, axis, kind, options):
        """Values of the input at other places, or fewer of them."""
        size = self.steps[inputs[0]].windows[axis].after
        index = self._index(node, axis) if size > 1 else None
        if not isinstance(index, torch.Tensor):
            return Window(size, size), None
        varying = [dim for dim in range(index.ndim) if (index != index.narrow(dim, 0, 1)).any()]
        line = index.movedim(varying[0], -1).flatten(0, -2)[0] if varying else index.flatten()[:1]
        if kind in ("mean", "sum", "amax", "amin"):
            if varying[1:] or (varying and not len(line) == len(index.unique()) == size):  # of parts: pooling by a view
                raise ValueError(MIXES)
            return (Window(size, size), *varying) if varying else (Window(size, 1, size, size), None)
        stride = (line[1:2] - line[:1]).sum().clamp(min=1)
        if index.ndim > 2 and len(varying) < 2 and torch.equal(line, line[0] + stride * torch.arange(len(line))):
            return Window(size, len(line), stride=int(stride), padding=-int(line[0])), *(varying or [None])
        if index.ndim == 2 + self.rank or len(index) != 2:
            raise ValueError(MIXES)
        return Window(size, size), None

    def _index(self, node: fx.Node, axis: int) -> torch.Tensor:
        """For each value of a tensor, the unit along an axis that it belongs to."""
        step = self.steps.get(node)
        if step is None or (node in self.arranged and step.dims[axis] is None):
            args = (node.args, node.kwargs)
            args = fx.node.map_arg(args, lambda n: self._index(n, axis) if n in self.steps else self.values[n])
            return getattr(self.run, node.op)(node.target, *args)
        if step.dims[axis] is None and step.windows[axis].after > 1:
            raise ValueError(MIXES)
        shape = [-1 if dim == step.dims[axis] else 1 for dim in range(self.values[node].ndim)]
        return torch.arange(float(step.windows[axis].after)).view(shape).expand(self.values[node].shape)

    def _find_mixed(self, node, inputs, axis, kind, options):
        """Values computed from all that stand in a row, or anywhere."""
        size, dim = self.steps[inputs[0]].windows[axis].after, self.steps[inputs[0]].dims[axis]
        if size == 1 or len(inputs) > 1 or kind == "multiheadattention" or (rank := self.values[node].ndim) == 2:
            return Window(size, 1, size, 1 if kind == "linear" else size), None
        if dim in (None, rank - 1):
            raise ValueError(MIXES)
        return Window(size, size), dim

    def _find_moved(self, node, inputs, axis, kind, options):
        """A window moved over a map (n, c, …)."""
        step, place, rank = self.steps[inputs[0]], 2 + axis, self.values[node].ndim
        size, dim = step.windows[axis].after, step.dims[axis]
        if size == 1 and rank != 2 + self.rank:
            return Window(1, 1), None  # over channels
        if (size > 1 or dim is not None) and (dim != place or rank != 2 + self.rank or len(inputs) > 1):
            raise ValueError(MIXES)
        before, after = (self.values[other].shape[place] for other in (inputs[0], node))
        describe = _resize if kind in RESIZED else _slide
        return describe(kind, options, axis - self.rank, before, after), place if after > 1 else None


def _pick(options: dict, name: str, axis: int, default):
    """An option of one axis, the last one being −1."""
    value = default if options.get(name) is None else options[name]
    return value[axis % len(value)] if isinstance(value, (tuple, list)) else value


def _resize(kind: str, options: dict, axis: int, before: int, after: int) -> Window:
    mode = RESIZED[kind] or MODES.get(options.get("mode") or "nearest")
    exact = before * _pick(options, "scale_factor", axis, Fraction(after, before)) == after
    if not mode or not exact or options.get("align_corners") or options.get("antialias"):
        raise ValueError(f"makes {before} pixels {after} in a way for which no receptive field is known")
    if before == 1:
        return Window(after, after)  # spread on entering
    window = Window(before, after, stride=Fraction(before, after), mode=mode)
    return replace(window, kernel=max(len(window.taps(unit)) for unit in range(after)))


def _slide(kind: str, options: dict, axis: int, before: int, after: int) -> Window:
    if kind.endswith("pad"):
        sides = [*(options.get("padding") or options["pad"]), *[0] * 6]  # those of the last axis first
        return Window(before, after, padding=sides[-2 - 2 * axis])
    kernel, dilation = _pick(options, "kernel_size", axis, 1), _pick(options, "dilation", axis, 1)
    stride = _pick(options, "stride", axis, kernel if "pool" in kind else 1)
    padding = _pick(options, "padding", axis, 0)
    if isinstance(padding, str):  # of an odd total, "same" puts the smaller half before the first pixel
        padding = (kernel - 1) * dilation // 2 if padding == "same" else 0
    if kind == "convtranspose":
        return Window(before, after, kernel, Fraction(1, stride), padding, dilation, "transposed")
    return Window(before, after, kernel, stride, padding, dilation)
