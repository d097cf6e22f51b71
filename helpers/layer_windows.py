"""Which window each layer of a network moves over its input, read from one pass of an empty image."""

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn.modules.dropout import _DropoutNd

from helpers.errors import InputError
from helpers.models import explain_failure

Pair = tuple[int, int]

POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d)
ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
PADDINGS = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d)
POINTWISE = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm),
    *(_DropoutNd, nn.Identity, nn.Flatten),
)
# Fine over channels, but over rows or columns every output would see a whole line.
OVER_ONE_AXIS = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.GLU)
KNOWN = (nn.Conv2d, nn.Linear, *POOLINGS, *ADAPTIVE, *PADDINGS, *POINTWISE)
# Functions and tensor methods that a forward pass may call instead of a layer.
POINTWISE_NAMES = frozenset(
    "add batch_norm celu clamp contiguous dropout dropout2d elu flatten gelu hardsigmoid hardswish hardtanh leaky_relu "
    "logsigmoid mish mul neg relu relu6 relu_ reshape selu sigmoid silu softplus squeeze sub "
    "tanh truediv view".split()
)
LAYER_NAMES = {"max_pool2d": nn.MaxPool2d, "avg_pool2d": nn.AvgPool2d, "softmax": nn.Softmax}
LAYER_NAMES |= {"adaptive_avg_pool2d": nn.AdaptiveAvgPool2d, "adaptive_max_pool2d": nn.AdaptiveMaxPool2d}
LAYER_NAMES |= {"log_softmax": nn.LogSoftmax}
LAYER_OPTIONS = ("kernel_size", "stride", "padding", "dilation", "output_size", "dim")


@dataclass(frozen=True)
class Window:
    """The window a layer moves over its input; each value as (height, width).

    Attributes:
        padding: pixels added before the first row and column.
        output_size: of the layer's result for the given input, (1, 1) once it is flat.
    """

    layer: str
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    output_size: Pair = (1, 1)


def list_windows(model: nn.Module, input_shape: tuple[int, ...]) -> list[Window]:
    """The windows of a network's layers in execution order, from one pass over an empty image."""
    if len(input_shape) != 3:
        raise InputError(f"input_shape must be (channels, height, width), not {input_shape}")
    model = _copy(model)
    try:
        traced = fx.GraphModule(model, _Tracer().trace(model))
    except Exception as error:
        cause = str(error).partition("\n")[0]
        raise InputError(f"{type(model).__name__} decides at run time which layers it calls: {cause}") from error
    run = fx.Interpreter(traced, garbage_collect_values=False)
    with explain_failure(model, f"an image of shape {input_shape}"), torch.no_grad(), torch.random.fork_rng(devices=[]):
        run.run(torch.zeros(2, *input_shape))
    values = {node: value for node, value in run.env.items() if node.op not in ("get_attr", "output")}
    shapes = {node: value.shape for node, value in values.items() if isinstance(value, torch.Tensor)}
    windows = list(_follow_chain(traced, values, shapes))
    if not windows:
        raise InputError(f"{type(model).__name__} has no layers")
    return windows


def _copy(model: nn.Module) -> nn.Module:
    """A network on the CPU in eval mode, taken out of what it was wrapped in, that may be run without a trace."""
    if isinstance(model, torch.jit.ScriptModule):
        raise InputError(f"{model.original_name} is compiled by torch.jit: give the network that it was made from")
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):  # of torch.compile
        model = model._orig_mod
    model = model.module if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)) else model
    try:
        return copy.deepcopy(nn.Sequential(model) if isinstance(model, KNOWN) else model).cpu().float().eval()
    except Exception as error:
        raise InputError(f"{type(model).__name__} keeps what has no copy, such as tensors of a run") from error


def on_each_axis(function, *pairs) -> tuple:
    """Apply a function to the heights and to the widths."""
    return tuple(function(*values) for values in zip(*pairs))


class _Tracer(fx.Tracer):
    """Stops at known layers, also at those derived from them without a forward pass of their own, and any dropout."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        inherited = isinstance(module, KNOWN) and type(module).forward.__module__.startswith("torch.nn")
        return inherited or isinstance(module, _DropoutNd) or super().is_leaf_module(module, qualified_name)


def _follow_chain(traced: fx.GraphModule, values: dict, shapes: dict[fx.Node, torch.Size]) -> Iterator[Window]:
    """A window per layer, from all values of a run and the tensors' shapes; InputError where the chain branches."""
    nodes = list(shapes)
    calls, map_size = Counter(), _map_size(shapes[nodes[0]])
    for before, node in zip(nodes, nodes[1:]):
        if [other for other in node.all_input_nodes if other in shapes] != [before]:
            raise InputError(f"not a chain: the network branches or joins at {node.name!r}: no one table holds")
        layer = traced.get_submodule(node.target) if node.op == "call_module" else _as_layer(node, values)
        name = str(node.target) if node.op == "call_module" else node.name
        calls[name] += 1
        name = name if calls[name] == 1 else f"{name}#{calls[name]}"
        if len(shapes[node]) not in (2, 4) or len(shapes[node]) > len(shapes[before]):
            raise InputError(
                f"{name} gives shape {tuple(shapes[node])}: only maps (n, c, h, w), then flat (n, c), are known"
            )
        yield _describe(layer, name, map_size, shapes[node])
        if len(shapes[node]) == 4 or isinstance(layer, nn.Linear):
            map_size = _map_size(shapes[node])


def _map_size(shape: torch.Size) -> Pair:
    return (shape[2], shape[3]) if len(shape) == 4 else (1, 1)


def _as_layer(node: fx.Node, values: dict) -> nn.Module:
    """The layer that does the same as a function or a tensor method called in the forward pass."""
    name = node.target if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
    if name in POINTWISE_NAMES:
        return nn.Identity()
    if name in LAYER_NAMES:
        given, options = fx.node.map_arg((node.args[1:5], dict(node.kwargs)), values.get)  # sizes may be computed
        return LAYER_NAMES[name](*given, **{key: value for key, value in options.items() if key in LAYER_OPTIONS})
    if name == "mean":
        axes = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        if isinstance(axes, (tuple, list)) and {axis % 4 for axis in axes} == {2, 3}:
            return nn.AdaptiveAvgPool2d(1)
    if name in ("cat", "concat", "stack"):
        raise InputError(f"not a chain: the network joins several maps at {node.name!r}, so no one table holds")
    raise InputError(f"no receptive field is known for {name!r}; write it as a layer")


def _describe(layer: nn.Module, name: str, map_size: Pair, shape: torch.Size) -> Window:
    """The window of one layer on a map of the given size, giving a tensor of the given shape."""
    output_size = _map_size(shape)
    if isinstance(layer, nn.Linear) and len(shape) == 2:
        return Window(name, kernel=map_size)
    if isinstance(layer, ADAPTIVE):
        if any(before % after for before, after in zip(map_size, output_size)):
            raise InputError(f"{name} pools {map_size} to {output_size} with windows of different sizes")
        size = on_each_axis(lambda before, after: before // after, map_size, output_size)
        return Window(name, kernel=size, stride=size, output_size=output_size)
    if isinstance(layer, PADDINGS):
        left, _, top, _ = layer.padding
        return Window(name, padding=(top, left), output_size=output_size)
    if isinstance(layer, (nn.Conv2d, *POOLINGS)):
        kernel, dilation = _pair(layer.kernel_size), _pair(getattr(layer, "dilation", 1))
        padding = _near_padding(getattr(layer, "padding", 0), kernel, dilation)
        return Window(name, kernel, _pair(layer.stride or layer.kernel_size), padding, dilation, output_size)
    if isinstance(layer, POINTWISE) or type(layer).__module__ == "torch.nn.modules.activation":
        if len(shape) == 4 and (
            output_size != map_size or (isinstance(layer, OVER_ONE_AXIS) and layer.dim not in (1, -3))
        ):
            raise InputError(f"{name} mixes or rearranges pixels: no receptive field is known for it")
        return Window(name, output_size=output_size)
    raise InputError(f"no receptive field is known for {name}, a {type(layer).__name__}")


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


def _near_padding(padding: int | Pair | str, kernel: Pair, dilation: Pair) -> Pair:
    """Padding before the first row and column; of an odd total, "same" puts the smaller half there."""
    if padding == "same":
        return on_each_axis(lambda k, d: (k - 1) * d // 2, kernel, dilation)
    return (0, 0) if padding == "valid" else _pair(padding)
